/**
 * Stack, branches, calls, interrupts, string and flag instructions. Notation: `table-notation.ts`.
 * Clocks and pairing: Intel, Pentium Processor Family Developer's Manual, volume 3 (241430), chapter 25 and appendix F.
 * For far transfers and interrupts the row holds the same-privilege case without a gate; gates, outer rings and task
 * switches cost what `gateClocks` says instead.
 */
import { conditions } from "./instruction.ts";
import type { RowNotation } from "./table-notation.ts";

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");

export * as gateClocks from "../../engine/layout/gate-clocks.ts";

const jumps = conditions.flatMap(
  (condition, code) =>
    [
      [hex(0x70 + code), `j${condition}`, "Jb", "r:OSZPC", "1 PV", "jump", { operation: "jcc" }],
      [`0F ${hex(0x80 + code)}`, `j${condition}`, "Jz", "r:OSZPC", "1 PV", "jump", { operation: "jcc" }],
    ] as const,
);

const explicitRows = [
  // Stack.
  ["50+", "push", "Zv", "", "1 UV", ""],
  ["58+", "pop", "Zv", "", "1 UV", ""],
  ["6A", "push", "Ibs", "", "1 UV", ""],
  ["68", "push", "Iz", "", "1 UV", ""],
  ["FF /6", "push", "Ev", "", "1/2", "read"],
  ["8F /0", "pop", "Ev", "", "1/3", "write"],
  ["06", "push", "ES", "", "1", "", { operation: "pushSegment" }],
  ["0E", "push", "CS", "", "1", "", { operation: "pushSegment" }],
  ["16", "push", "SS", "", "1", "", { operation: "pushSegment" }],
  ["1E", "push", "DS", "", "1", "", { operation: "pushSegment" }],
  ["0F A0", "push", "FS", "", "1", "", { operation: "pushSegment" }],
  ["0F A8", "push", "GS", "", "1", "", { operation: "pushSegment" }],
  ["07", "pop", "ES", "", "3", "", { operation: "popSegment" }],
  ["17", "pop", "SS", "", "3", "", { operation: "popSegment" }],
  ["1F", "pop", "DS", "", "3", "", { operation: "popSegment" }],
  ["0F A1", "pop", "FS", "", "3", "", { operation: "popSegment" }],
  ["0F A9", "pop", "GS", "", "3", "", { operation: "popSegment" }],
  ["60", "pushad", "", "", "5", "", { operation: "pusha", narrow: "pushaw" }],
  ["61", "popad", "", "", "5", "", { operation: "popa", narrow: "popaw" }],
  ["9C", "pushfd", "", "r:CPAZSTIDOLNKX", "3", "", { operation: "pushf", narrow: "pushfw" }],
  ["9D", "popfd", "", "w:CPAZSTIDOLNKX", "4", "", { operation: "popf", narrow: "popfw" }],
  // 11 clocks at level 0, 15 at level 1, 15 + 2 × level above.
  ["C8", "enter", "Iw,Ib", "", "11", ""],
  ["C9", "leave", "", "", "3", ""],
  // Branches and calls.
  ["EB", "jmp", "Jb", "", "1 PV", "jump", { operation: "jmpNear" }],
  ["E9", "jmp", "Jz", "", "1 PV", "jump", { operation: "jmpNear" }],
  ["FF /4", "jmp", "Ev", "", "2", "read jump", { operation: "jmpIndirect" }],
  ["EA", "jmp", "Ap", "", "3", "jump", { operation: "jmpFar" }],
  ["FF /5", "jmp", "Mp", "", "4", "read jump", { operation: "jmpFarIndirect" }],
  ["E8", "call", "Jz", "", "1 PV", "jump", { operation: "callNear" }],
  ["FF /2", "call", "Ev", "", "2", "read jump", { operation: "callIndirect" }],
  ["9A", "call", "Ap", "", "4", "jump", { operation: "callFar" }],
  ["FF /3", "call", "Mp", "", "5", "read jump", { operation: "callFarIndirect" }],
  ["C3", "ret", "", "", "2", "jump", { operation: "retNear" }],
  ["C2", "ret", "Iw", "", "3", "jump", { operation: "retNear" }],
  ["CB", "retf", "", "", "4", "jump", { operation: "retFar" }],
  ["CA", "retf", "Iw", "", "4", "jump", { operation: "retFar" }],
  ["E0", "loopne", "Jb", "r:Z", "7/8", "jump"],
  ["E1", "loope", "Jb", "r:Z", "7/8", "jump"],
  ["E2", "loop", "Jb", "", "5/6", "jump"],
  ["E3", "jecxz", "Jb", "", "5/6", "jump address16", { operation: "jcxz", narrow: "jcxz" }],
  ["CC", "int3", "", "w:TIN", "27", "jump"],
  ["CD", "int", "Ib", "w:TIN", "31", "jump"],
  ["CE", "into", "", "r:O w:TIN", "4", "jump"],
  ["F1", "int1", "", "w:TIN", "27", "jump"],
  ["CF", "iretd", "", "r:N w:CPAZSTIDOLNRVKX", "10", "jump serial", { operation: "iret", narrow: "iretw" }],
  ["62", "bound", "Gv,Ma", "", "8", "read"],
  // Strings. The first number of a pair holds without a repeat prefix.
  ["A4", "movsb", "Yb,Xb", "r:D", "4 rep 13+1", "readwrite rep", { operation: "movs" }],
  ["A5", "movsd", "Yv,Xv", "r:D", "4 rep 13+1", "readwrite rep", { operation: "movs", narrow: "movsw" }],
  ["A6", "cmpsb", "Xb,Yb", "r:D w:OSZAPC", "5 rep 9+4", "read compare", { operation: "cmps" }],
  [
    "A7",
    "cmpsd",
    "Xv,Yv",
    "r:D w:OSZAPC",
    "5 rep 9+4",
    "read compare",
    { operation: "cmps", narrow: "cmpsw" },
  ],
  ["AA", "stosb", "Yb,AL", "r:D", "3 rep 9+1", "write rep", { operation: "stos" }],
  ["AB", "stosd", "Yv,rAX", "r:D", "3 rep 9+1", "write rep", { operation: "stos", narrow: "stosw" }],
  ["AC", "lodsb", "AL,Xb", "r:D", "2 rep 7+3", "read rep", { operation: "lods" }],
  ["AD", "lodsd", "rAX,Xv", "r:D", "2 rep 7+3", "read rep", { operation: "lods", narrow: "lodsw" }],
  ["AE", "scasb", "AL,Yb", "r:D w:OSZAPC", "4 rep 8+4", "read compare", { operation: "scas" }],
  [
    "AF",
    "scasd",
    "rAX,Yv",
    "r:D w:OSZAPC",
    "4 rep 8+4",
    "read compare",
    { operation: "scas", narrow: "scasw" },
  ],
  ["6C", "insb", "Yb,DX", "r:D", "6 rep 8+3", "write rep iopl", { operation: "ins" }],
  ["6D", "insd", "Yv,DX", "r:D", "6 rep 8+3", "write rep iopl", { operation: "ins", narrow: "insw" }],
  ["6E", "outsb", "DX,Xb", "r:D", "10 rep 10+4", "read rep iopl", { operation: "outs" }],
  ["6F", "outsd", "DX,Xv", "r:D", "10 rep 10+4", "read rep iopl", { operation: "outs", narrow: "outsw" }],
  // Flags.
  ["F5", "cmc", "", "r:C w:C", "2", ""],
  ["F8", "clc", "", "w:C", "2", ""],
  ["F9", "stc", "", "w:C", "2", ""],
  ["FC", "cld", "", "w:D", "2", ""],
  ["FD", "std", "", "w:D", "2", ""],
  ["9E", "sahf", "", "w:SZAPC", "2", ""],
  ["9F", "lahf", "", "r:SZAPC", "2", ""],
] as const satisfies readonly RowNotation[];

export const controlRows = [...jumps, ...explicitRows];
