/**
 * System instructions, segment loads, ports. Notation: `table-notation.ts`.
 * Clocks: Intel, Pentium Processor Family Developer's Manual, volume 3 (241430), chapter 25. Port instructions: CPL ≤ IOPL;
 * through the I/O bitmap IN takes 21, OUT 26, INS 24, OUTS 27 clocks.
 */
import type { RowNotation } from "./table-notation.ts";

export const systemRows = [
  // Segment registers and far pointers.
  ["8C", "mov", "Evw,Sw", "", "1", "write", { operation: "movFromSegment" }],
  ["8E", "mov", "Sw,Ew", "", "2/3", "read", { operation: "movToSegment" }],
  ["C4", "les", "Gv,Mp", "", "4", "read", { operation: "loadFarPointer" }],
  ["C5", "lds", "Gv,Mp", "", "4", "read", { operation: "loadFarPointer" }],
  ["0F B2", "lss", "Gv,Mp", "", "4", "read", { operation: "loadFarPointer" }],
  ["0F B4", "lfs", "Gv,Mp", "", "4", "read", { operation: "loadFarPointer" }],
  ["0F B5", "lgs", "Gv,Mp", "", "4", "read", { operation: "loadFarPointer" }],
  ["63", "arpl", "Ew,Gw", "w:Z", "7", "readwrite"],
  ["0F 02", "lar", "Gv,Ew", "w:Z", "8", "read"],
  ["0F 03", "lsl", "Gv,Ew", "w:Z", "8", "read"],
  ["0F 00 /4", "verr", "Ew", "w:Z", "7", "read"],
  ["0F 00 /5", "verw", "Ew", "w:Z", "7", "read"],
  // Descriptor-table and task registers.
  ["0F 00 /0", "sldt", "Evw", "", "2", "write"],
  ["0F 00 /1", "str", "Evw", "", "2", "write"],
  ["0F 00 /2", "lldt", "Ew", "", "9", "read cpl0 serial"],
  ["0F 00 /3", "ltr", "Ew", "", "10", "read cpl0 serial"],
  ["0F 01 /0", "sgdt", "Ms", "", "4", "write"],
  ["0F 01 /1", "sidt", "Ms", "", "4", "write"],
  ["0F 01 /2", "lgdt", "Ms", "", "6", "read cpl0 serial"],
  ["0F 01 /3", "lidt", "Ms", "", "6", "read cpl0 serial"],
  ["0F 01 /4", "smsw", "Evw", "", "4", "write"],
  ["0F 01 /6", "lmsw", "Ew", "", "8", "read cpl0 serial"],
  // Control and debug registers, caches, TLB.
  ["0F 01 /7", "invlpg", "M", "", "25", "address cpl0 serial"],
  ["0F 06", "clts", "", "", "10", "cpl0"],
  ["0F 08", "invd", "", "", "15", "cpl0 serial"],
  ["0F 09", "wbinvd", "", "", "2000", "cpl0 serial"],
  // Writes of CR0 take 22 clocks, of CR2 12, of CR3 21, of CR4 14; of DR0 to DR3 11, of DR6 and DR7 12.
  ["0F 20", "mov", "Rd,Cd", "u:OSZAPC", "4", "cpl0", { operation: "movFromControl" }],
  ["0F 21", "mov", "Rd,Dd", "u:OSZAPC", "2", "cpl0", { operation: "movFromDebug" }],
  ["0F 22", "mov", "Cd,Rd", "u:OSZAPC", "22", "cpl0 serial", { operation: "movToControl" }],
  ["0F 23", "mov", "Dd,Rd", "u:OSZAPC", "11", "cpl0 serial", { operation: "movToDebug" }],
  ["0F 30", "wrmsr", "", "", "30", "cpl0 serial"],
  ["0F 31", "rdtsc", "", "", "6", ""],
  ["0F 32", "rdmsr", "", "", "20", "cpl0"],
  ["0F A2", "cpuid", "", "", "14", "serial"],
  ["0F 0B", "ud2", "", "", "1", "jump"],
  ["F4", "hlt", "", "", "12", "cpl0 jump"],
  ["FA", "cli", "", "w:I", "7", "iopl"],
  ["FB", "sti", "", "w:I", "7", "iopl"],
  // Ports.
  ["E4", "in", "AL,Ib", "", "4", "iopl"],
  ["E5", "in", "rAX,Ib", "", "4", "iopl"],
  ["EC", "in", "AL,DX", "", "4", "iopl"],
  ["ED", "in", "rAX,DX", "", "4", "iopl"],
  ["E6", "out", "Ib,AL", "", "9", "iopl"],
  ["E7", "out", "Ib,rAX", "", "9", "iopl"],
  ["EE", "out", "DX,AL", "", "9", "iopl"],
  ["EF", "out", "DX,rAX", "", "9", "iopl"],
] as const satisfies readonly RowNotation[];
