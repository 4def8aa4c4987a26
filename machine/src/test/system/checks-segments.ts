/**
 * Checks of segments: limits, types, null selectors, loads of segment registers, address arithmetic. Source of the rules: Pentium
 * Processor Family Developer's Manual, volume 3, chapters 11 and 12, and the pages of MOV, POP, Lxx, LAR, LSL, VERR, ARPL.
 * Long because it is a table of checks.
 */

import {
  al,
  ax,
  bx,
  byte,
  cs,
  cx,
  ds,
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  es,
  esi,
  esp,
  fs,
  fword,
  gs,
  type MemoryOperand,
  type Operand,
  qword,
  type Register,
  ss,
  word,
} from "../../i386/assembly.ts";
import { Address, type CheckWriter, describe, Selector, type SystemCheck } from "./check-writer.ts";

const WRITABLE = 0x93;
const FLAT = 0xc;
const sized = [
  [1, byte, al],
  [2, word, ax],
  [4, dword, eax],
] as const;

function loadSegment(kernel: CheckWriter, segment: Register, selector: number): void {
  kernel.a.emit("mov", ax, selector);
  kernel.a.emit("mov", segment, ax);
}

/** Loads FS, then accesses it: a read into EAX or a write of EAX. */
function access(
  name: string,
  rule: string,
  expect: string,
  selector: number,
  operand: MemoryOperand,
  register: Register,
  write: boolean,
): SystemCheck {
  return {
    name,
    rule,
    expect,
    code(kernel) {
      loadSegment(kernel, fs, selector);
      kernel.a.emit("mov", eax, 0x1234_5678);
      kernel.at();
      const operands: Operand[] = write ? [operand, register] : [register, operand];
      kernel.a.emit("mov", operands[0]!, operands[1]!);
      kernel.finish();
    },
  };
}

const limitChecks = sized.flatMap(([size, at, register]) =>
  [false, true].flatMap((write) => {
    const verb = write ? "write" : "read";
    const inside = at({ segment: fs, displacement: 0x1000 - size });
    const beyond = at({ segment: fs, displacement: 0x1000 - size + 1 });
    return [
      access(
        `limit.${verb}${size}.last`,
        "every byte at or below the limit is valid",
        "ok",
        Selector.limited,
        inside,
        register,
        write,
      ),
      access(
        `limit.${verb}${size}.beyond`,
        "a byte above the limit is #GP(0)",
        "#0d(0000)",
        Selector.limited,
        beyond,
        register,
        write,
      ),
    ];
  }),
);

const typeChecks: SystemCheck[] = [
  access(
    ...([
      "expandDown.below",
      "offsets up to the limit of an expand-down segment are #GP(0)",
      "#0d(0000)",
    ] as const),
    Selector.expandDown,
    byte({ segment: fs, displacement: 0x310fff }),
    al,
    false,
  ),
  access(
    "expandDown.above",
    "offsets above the limit of an expand-down segment are valid",
    "ok",
    Selector.expandDown,
    dword({ segment: fs, displacement: 0x311000 }),
    eax,
    true,
  ),
  access(
    "expandDown.straddle",
    "all bytes must be above the limit",
    "#0d(0000)",
    Selector.expandDown,
    dword({ segment: fs, displacement: 0x310ffe }),
    eax,
    false,
  ),
  access(
    "readOnly.write",
    "a write to a read-only data segment is #GP(0)",
    "#0d(0000)",
    Selector.readOnly,
    dword({ segment: fs, displacement: Address.scratch }),
    eax,
    true,
  ),
  access(
    "readOnly.read",
    "a read-only data segment can be read",
    "ok",
    Selector.readOnly,
    dword({ segment: fs, displacement: Address.scratch }),
    eax,
    false,
  ),
  access(
    "null.read",
    "a null selector may be loaded, its use is #GP(0)",
    "#0d(0000)",
    0,
    dword({ segment: fs, displacement: Address.scratch }),
    eax,
    false,
  ),
  access(
    "null.rpl3.write",
    "selectors 0 to 3 are null",
    "#0d(0000)",
    3,
    dword({ segment: fs, displacement: Address.scratch }),
    eax,
    true,
  ),
  {
    name: "code.write",
    rule: "code segments are never writable: #GP(0)",
    expect: "#0d(0000)",
    code(kernel) {
      kernel.at();
      kernel.a.emit("mov", dword({ segment: cs, displacement: Address.scratch }), eax);
      kernel.finish();
    },
  },
  {
    name: "code.read",
    rule: "a readable code segment can be read",
    expect: "ok; 1234",
    code(kernel) {
      kernel.store(Address.scratch, 0x1234);
      kernel.a.emit("mov", eax, dword({ segment: cs, displacement: Address.scratch }));
      kernel.note(eax);
      kernel.finish();
    },
  },
  {
    name: "modify.readOnly",
    rule: "a read-modify-write needs write rights before it reads",
    expect: "#0d(0000)",
    code(kernel) {
      loadSegment(kernel, fs, Selector.readOnly);
      kernel.at();
      kernel.a.emit("add", dword({ segment: fs, displacement: Address.scratch }), eax);
      kernel.finish();
    },
  },
  {
    name: "compare.readOnly",
    rule: "CMP only reads",
    expect: "ok",
    code(kernel) {
      loadSegment(kernel, fs, Selector.readOnly);
      kernel.a.emit("cmp", dword({ segment: fs, displacement: Address.scratch }), eax);
      kernel.finish();
    },
  },
  {
    name: "cmpxchg.readOnly",
    rule: "CMPXCHG writes its destination even when the comparison fails",
    expect: "#0d(0000)",
    code(kernel) {
      loadSegment(kernel, fs, Selector.readOnly);
      kernel.at();
      kernel.a.emit("cmpxchg", dword({ segment: fs, displacement: Address.scratch }), ebx);
      kernel.finish();
    },
  },
  {
    name: "cmpxchg8b.limit",
    rule: "all eight bytes must lie inside the limit",
    expect: "#0d(0000)",
    code(kernel) {
      loadSegment(kernel, fs, Selector.limited);
      kernel.at();
      kernel.a.emit("cmpxchg8b", qword({ segment: fs, displacement: 0xffc }));
      kernel.finish();
    },
  },
  {
    name: "stack.limit",
    rule: "a push below offset 0 of SS is #SS(0), ESP unchanged",
    expect: "ok; 311000",
    code(kernel) {
      // On a small stack the fault could not be delivered: the check only looks at a push that fits, ending exactly at 0.
      const { a } = kernel;
      a.emit("mov", ebp, esp);
      loadSegment(kernel, ss, Selector.limited);
      a.emit("mov", esp, 0x1000);
      a.emit("push", eax);
      a.emit("pop", eax);
      a.emit("mov", ebx, esp);
      loadSegment(kernel, ss, Selector.data);
      a.emit("mov", esp, ebp);
      a.emit("add", ebx, Address.scratch);
      kernel.note(ebx);
      kernel.finish();
    },
  },
  {
    name: "stack.beyond",
    rule: "an access relative to EBP beyond SS's limit is #SS(0)",
    expect: "#0c(0000)",
    code(kernel) {
      loadSegment(kernel, ss, Selector.limited);
      kernel.a.emit("mov", esp, 0x800);
      kernel.a.emit("mov", ebp, 0x1000);
      kernel.at();
      kernel.a.emit("mov", eax, dword({ base: ebp }));
      kernel.finish();
    },
  },
  {
    name: "stack.pop.beyond",
    rule: "POP beyond SS's limit is #SS(0)",
    expect: "#0c(0000)",
    code(kernel) {
      loadSegment(kernel, ss, Selector.limited);
      kernel.a.emit("mov", esp, 0xffe);
      kernel.at();
      kernel.a.emit("pop", eax);
      kernel.finish();
    },
  },
  {
    name: "wrap.base",
    rule: "base plus offset is modulo 2^32",
    expect: "ok; 4321",
    code(kernel) {
      kernel.store(Address.scratch, 0x4321);
      loadSegment(kernel, fs, Selector.wrapping);
      kernel.a.emit("mov", eax, dword({ segment: fs, displacement: Address.scratch + 0x10_0000 }));
      kernel.note(eax);
      kernel.finish();
    },
  },
  {
    name: "wrap.address",
    rule: "base register, scaled index and displacement are added modulo 2^32",
    expect: "ok; 8765",
    code(kernel) {
      kernel.store(Address.scratch, 0x8765);
      kernel.a.emit("mov", ebx, 0xf000_0000 | 0);
      kernel.a.emit("mov", ecx, 0x0400_0000);
      const displacement = Address.scratch;
      kernel.a.emit("mov", eax, dword({ base: ebx, index: ecx, scale: 4, displacement }));
      kernel.note(eax);
      kernel.finish();
    },
  },
];

/** Loading `selector` into `segment` by MOV. */
function load(
  name: string,
  rule: string,
  expect: string,
  segment: Register,
  selector: number,
  prepare?: (kernel: CheckWriter) => void,
): SystemCheck {
  return {
    name,
    rule,
    expect,
    code(kernel) {
      prepare?.(kernel);
      kernel.a.emit("mov", bx, selector);
      kernel.at();
      kernel.a.emit("mov", segment, bx);
      kernel.finish();
    },
  };
}

const loadChecks: SystemCheck[] = [
  load("load.outside", "a selector beyond the GDT's limit is #GP(selector)", "#0d(00c0)", ds, 0xc0),
  load("load.outside.rpl", "error codes do not show RPL", "#0d(00c0)", ds, 0xc3),
  load("load.noLdt", "an LDT selector without an LDT is #GP(selector)", "#0d(000c)", ds, Selector.local),
  load("load.ldt", "descriptors come from the LDT when TI is set", "ok", ds, Selector.local, (kernel) => {
    kernel.a.emit("mov", ax, Selector.ldt);
    kernel.a.emit("lldt", ax);
  }),
  load(
    "load.ldt.outside",
    "a selector beyond the LDT's limit is #GP(selector)",
    "#0d(001c)",
    ds,
    0x1c,
    (kernel) => {
      kernel.a.emit("mov", ax, Selector.ldt);
      kernel.a.emit("lldt", ax);
    },
  ),
  load(
    "load.absent",
    "a data segment that is not present is #NP(selector)",
    "#0b(0090)",
    es,
    Selector.absent,
  ),
  load("load.system", "a system descriptor is #GP(selector)", "#0d(0030)", ds, Selector.tssA),
  load(
    "load.executeOnly",
    "an execute-only code segment is #GP(selector)",
    "#0d(0088)",
    ds,
    Selector.executeOnly,
  ),
  load("load.readableCode", "a readable code segment can be loaded into DS", "ok", ds, Selector.code),
  load("load.rpl", "RPL above DPL is #GP(selector)", "#0d(0010)", ds, Selector.data | 3),
  load(
    "load.conforming.rpl",
    "a conforming code segment may be loaded with any RPL",
    "ok",
    ds,
    Selector.conforming | 3,
  ),
  load("load.null", "a null selector may be loaded into DS", "ok", gs, 2),
  load("load.ss.null", "SS cannot be null: #GP(0)", "#0d(0000)", ss, 0),
  load("load.ss.rpl", "RPL of SS must be CPL: #GP(selector)", "#0d(0010)", ss, Selector.data | 1),
  load("load.ss.dpl", "DPL of SS must be CPL: #GP(selector)", "#0d(0020)", ss, 0x20),
  load("load.ss.readOnly", "SS must be writable: #GP(selector)", "#0d(0078)", ss, Selector.readOnly),
  load("load.ss.code", "SS cannot be code: #GP(selector)", "#0d(0008)", ss, Selector.code),
  load("load.ss.absent", "SS that is not present is #SS(selector)", "#0c(0090)", ss, Selector.absent),
  load("load.ss.outside", "SS beyond the GDT is #GP(selector)", "#0d(00f8)", ss, 0xf8),
  {
    name: "load.cs",
    rule: "MOV to CS is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0x8e, 0xc8]);
      kernel.finish();
    },
  },
  {
    name: "load.segment6",
    rule: "MOV to a segment register that does not exist is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0x8e, 0xf0]);
      kernel.finish();
    },
  },
  {
    name: "load.accessed",
    rule: "loading a segment register sets the descriptor's accessed bit",
    expect: "ok; cf9300",
    code(kernel) {
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x92, FLAT));
      loadSegment(kernel, fs, Selector.slotA);
      kernel.noteMemory(Address.gdt + Selector.slotA + 4);
      kernel.finish();
    },
  },
  {
    name: "load.fault.accessed",
    rule: "a load that faults leaves the descriptor alone",
    expect: "#0b(0098)",
    code(kernel) {
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x12, FLAT));
      kernel.a.emit("mov", bx, Selector.slotA);
      kernel.at();
      kernel.a.emit("mov", fs, bx);
      kernel.finish();
    },
  },
  {
    name: "pop.fault",
    rule: "POP of a bad selector restores ESP",
    expect: "#0d(00f8)",
    code(kernel) {
      kernel.a.emit("push", 0xf8);
      kernel.at();
      kernel.a.emit("pop", fs);
      kernel.finish();
    },
  },
  {
    name: "lfs.fault",
    rule: "LFS with a bad selector is #GP(selector)",
    expect: "#0d(00f8)",
    code(kernel) {
      kernel.store(Address.scratch, 0x1111);
      kernel.store(Address.scratch + 4, 0xf8);
      kernel.at();
      kernel.a.emit("lfs", ebx, fword({ displacement: Address.scratch }));
      kernel.finish();
    },
  },
  {
    name: "lfs",
    rule: "LFS loads offset and selector",
    expect: "ok; 1111 23",
    code(kernel) {
      kernel.store(Address.scratch, 0x1111);
      kernel.store(Address.scratch + 4, 0x23);
      kernel.a.emit("lfs", ebx, fword({ displacement: Address.scratch }));
      kernel.note(ebx);
      kernel.a.emit("mov", eax, fs);
      kernel.note(eax);
      kernel.finish();
    },
  },
  {
    name: "lldt.notLdt",
    rule: "LLDT of another type is #GP(selector)",
    expect: "#0d(0010)",
    code(kernel) {
      kernel.a.emit("mov", bx, Selector.data);
      kernel.at();
      kernel.a.emit("lldt", bx);
      kernel.finish();
    },
  },
  {
    name: "lldt.absent",
    rule: "LLDT of an absent LDT is #NP(selector)",
    expect: "#0b(0098)",
    code(kernel) {
      kernel.descriptor(Selector.slotA, describe(Address.ldt, 0x17, 0x02));
      kernel.a.emit("mov", bx, Selector.slotA);
      kernel.at();
      kernel.a.emit("lldt", bx);
      kernel.finish();
    },
  },
  {
    name: "ltr.busy",
    rule: "LTR of a busy TSS is #GP(selector)",
    expect: "#0d(0028)",
    code(kernel) {
      kernel.a.emit("mov", bx, Selector.tss);
      kernel.at();
      kernel.a.emit("ltr", bx);
      kernel.finish();
    },
  },
  {
    name: "ltr.null",
    rule: "LTR of a null selector is #GP(0)",
    expect: "#0d(0000)",
    code(kernel) {
      kernel.a.emit("xor", ebx, ebx);
      kernel.at();
      kernel.a.emit("ltr", bx);
      kernel.finish();
    },
  },
  {
    name: "ltr.marksBusy",
    rule: "LTR sets the busy bit",
    expect: "ok; 8b30 38",
    code(kernel) {
      kernel.a.emit("mov", bx, Selector.tssB);
      kernel.a.emit("ltr", bx);
      kernel.a.emit("mov", eax, dword({ displacement: Address.gdt + Selector.tssB + 4 }));
      kernel.note(eax);
      kernel.a.emit("str", eax);
      kernel.note(eax);
      kernel.finish();
    },
  },
];

/** LAR, LSL, VERR and VERW of one selector, seen from ring 0 and from ring 3: ZF and results. */
function inspect(name: string, selector: number, expect: string, ring: 0 | 3): SystemCheck {
  return {
    name: `inspect.${name}.ring${ring}`,
    rule: "LAR and LSL give rights and limit and ZF = 1 when the descriptor is visible at CPL and RPL and of a known type; VERR, VERW whether it can be read, written",
    expect,
    code(kernel) {
      const { a } = kernel;
      if (ring === 3) kernel.enterRing(3);
      a.emit("mov", ebx, selector);
      const noteFlag = (): void => {
        a.emit("setz", al);
        a.emit("movzx", eax, al);
        kernel.note(eax);
      };
      a.emit("mov", ecx, 0x7777);
      a.emit("lar", ecx, bx);
      noteFlag();
      // Bits 16 to 19 are undefined.
      a.emit("and", ecx, 0xfff0_ffff | 0);
      kernel.note(ecx);
      a.emit("mov", ecx, 0x7777);
      a.emit("lsl", ecx, bx);
      noteFlag();
      kernel.note(ecx);
      a.emit("verr", bx);
      noteFlag();
      a.emit("verw", bx);
      noteFlag();
      kernel.finishFromRing();
    },
  };
}

const inspectChecks: SystemCheck[] = [
  inspect("data", Selector.data, "ok; 1 c09300 1 ffffffff 1 1", 0),
  inspect("data", Selector.data, "ok; 0 7777 0 7777 0 0", 3),
  inspect("userData", Selector.userData, "ok; 1 c0f300 1 ffffffff 1 1", 3),
  inspect("readOnly", Selector.readOnly, "ok; 1 c09100 1 ffffffff 1 0", 0),
  inspect("executeOnly", Selector.executeOnly, "ok; 1 c09900 1 ffffffff 0 0", 0),
  inspect("conforming", Selector.conforming | 3, "ok; 1 c09f00 1 ffffffff 1 0", 3),
  inspect("tss", Selector.tssA, "ok; 1 8900 1 67 0 0", 0),
  inspect("limited", Selector.limited, "ok; 1 409300 1 fff 1 1", 0),
  inspect("absent", Selector.absent, "ok; 1 c01300 1 ffffffff 1 1", 0),
  inspect("outside", 0xf8, "ok; 0 7777 0 7777 0 0", 0),
  inspect("null", 0, "ok; 0 7777 0 7777 0 0", 0),
];

const otherChecks: SystemCheck[] = [
  {
    name: "arpl",
    rule: "ARPL raises RPL to that of the source and then sets ZF",
    expect: "ok; 13 1 13 0",
    code(kernel) {
      const { a } = kernel;
      a.emit("mov", ebx, 0x10);
      a.emit("mov", ecx, 0x1b);
      for (let i = 0; i < 2; i++) {
        a.emit("arpl", bx, cx);
        a.emit("setz", al);
        a.emit("movzx", edx, al);
        kernel.note(ebx);
        kernel.note(edx);
      }
      kernel.finish();
    },
  },
  {
    name: "lea.register",
    rule: "LEA of a register is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0x8d, 0xc0]);
      kernel.finish();
    },
  },
  {
    name: "lgdt.register",
    rule: "LGDT of a register is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0x0f, 0x01, 0xd0]);
      kernel.finish();
    },
  },
  {
    name: "sgdt",
    rule: "SGDT stores limit and base",
    expect: "ok; 2080bf 0 300000",
    code(kernel) {
      const { a } = kernel;
      kernel.store(Address.scratch, 0x20_0000);
      a.emit("sgdt", fword({ displacement: Address.scratch }));
      a.emit("movzx", eax, word({ displacement: Address.scratch }));
      a.emit("or", eax, 0x20_8000);
      kernel.note(eax);
      a.emit("xor", eax, eax);
      kernel.note(eax);
      kernel.noteMemory(Address.scratch + 2);
      kernel.finish();
    },
  },
  {
    name: "string.segment",
    rule: "the destination of MOVS is ES, whatever the override; each repetition is checked",
    expect: "#0d(0000)",
    code(kernel) {
      const { a } = kernel;
      loadSegment(kernel, es, Selector.limited);
      a.emit("mov", esi, Address.scratch + 0x1000);
      a.emit("mov", edi, 0xff8);
      a.emit("mov", ecx, 4);
      kernel.at();
      a.emitPrefixed("rep", "movsd");
      kernel.finish();
    },
  },
  {
    name: "string.partial",
    rule: "a fault in the middle leaves ECX, ESI, EDI at the repetition that faulted",
    expect: "ok; 2 311008 1000",
    code(kernel) {
      const { a } = kernel;
      const handler = a.newLabel();
      kernel.gate(13, 0x8e, Selector.code, handler);
      loadSegment(kernel, es, Selector.limited);
      a.emit("mov", esi, Address.scratch + 0x1000);
      a.emit("mov", edi, 0xff8);
      a.emit("mov", ecx, 4);
      a.emitPrefixed("rep", "movsd");
      kernel.finish();
      a.place(handler);
      loadSegment(kernel, es, Selector.data);
      kernel.note(ecx);
      kernel.note(esi);
      kernel.note(edi);
      kernel.finish();
    },
  },
  {
    name: "pusha.fault",
    rule: "PUSHA that meets the stack's end changes nothing: #SS, ESP as before",
    expect: "ok; ffc 1010101",
    code(kernel) {
      // The frame of #SS needs room on the same stack: the limit is met at the top end, by wrapping below offset 0.
      const { a } = kernel;
      const handler = a.newLabel();
      kernel.gate(12, 0x8e, Selector.code, handler);
      kernel.descriptor(Selector.slotA, describe(0, 0x310, WRITABLE | 4, FLAT));
      loadSegment(kernel, ss, Selector.slotA);
      a.emit("mov", eax, 0x0101_0101);
      a.emit("mov", esp, Address.scratch + 0x1000 + 0x1c);
      a.emit("pushad");
      kernel.finish();
      a.place(handler);
      a.emit("lea", ebx, dword({ base: esp, displacement: 16 - Address.scratch - 0x20 }));
      a.emit("mov", ecx, eax);
      loadSegment(kernel, ss, Selector.data);
      a.emit("mov", esp, Address.mainStack);
      kernel.note(ebx);
      kernel.note(ecx);
      kernel.finish();
    },
  },
  {
    name: "lock.invalid",
    rule: "LOCK before an instruction that cannot be locked is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0xf0, 0x90]);
      kernel.finish();
    },
  },
  {
    name: "lock.register",
    rule: "LOCK with a register destination is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([0xf0, 0x01, 0xc0]);
      kernel.finish();
    },
  },
  {
    name: "lock.valid",
    rule: "LOCK ADD to memory is allowed",
    expect: "ok; 5",
    code(kernel) {
      kernel.store(Address.scratch, 2);
      kernel.a.emit("mov", ebx, 3);
      kernel.a.emitPrefixed("lock", "add", dword({ displacement: Address.scratch }), ebx);
      kernel.noteMemory(Address.scratch);
      kernel.finish();
    },
  },
  {
    name: "length.16",
    rule: "an instruction of more than 15 bytes is #GP(0)",
    expect: "#0d(0000)",
    code(kernel) {
      kernel.at();
      kernel.a.bytes([...Array<number>(15).fill(0x3e), 0x90]);
      kernel.finish();
    },
  },
  {
    name: "length.15",
    rule: "an instruction of 15 bytes is valid",
    expect: "ok",
    code(kernel) {
      kernel.a.bytes([...Array<number>(14).fill(0x3e), 0x90]);
      kernel.finish();
    },
  },
  {
    name: "ud2",
    rule: "an undefined opcode is #UD",
    expect: "#06",
    code(kernel) {
      kernel.at();
      kernel.a.emit("ud2");
      kernel.finish();
    },
  },
  {
    name: "divide",
    rule: "division by zero is a fault: EIP at DIV",
    expect: "#00",
    code(kernel) {
      kernel.a.emit("xor", ebx, ebx);
      kernel.at();
      kernel.a.emit("div", ebx);
      kernel.finish();
    },
  },
  {
    name: "divide.overflow",
    rule: "a quotient that does not fit is #DE",
    expect: "#00",
    code(kernel) {
      const { a } = kernel;
      a.emit("mov", eax, 0x8000_0000 | 0);
      a.emit("cdq");
      a.emit("mov", ebx, -1);
      kernel.at();
      a.emit("idiv", ebx);
      kernel.finish();
    },
  },
  {
    name: "bound",
    rule: "an index outside its bounds is #BR, a fault",
    expect: "#05",
    code(kernel) {
      kernel.store(Address.scratch, 1);
      kernel.store(Address.scratch + 4, 5);
      kernel.a.emit("mov", ebx, 6);
      kernel.at();
      kernel.a.emit("bound", ebx, qword({ displacement: Address.scratch }));
      kernel.finish();
    },
  },
  {
    name: "into",
    rule: "INTO with OF set is a trap: EIP behind it",
    expect: "#04+1",
    code(kernel) {
      kernel.a.emit("mov", eax, 0x7fff_ffff);
      kernel.a.emit("inc", eax);
      kernel.at();
      kernel.a.emit("into");
      kernel.finish();
    },
  },
  {
    name: "int3",
    rule: "INT3 is a trap: EIP behind it",
    expect: "#03+1",
    code(kernel) {
      kernel.at();
      kernel.a.emit("int3");
      kernel.finish();
    },
  },
  {
    name: "fpu.switched",
    rule: "ESC with CR0.TS set is #NM",
    expect: "#07",
    code(kernel) {
      const { a } = kernel;
      a.emit("smsw", eax);
      a.emit("or", eax, 8);
      a.emit("lmsw", ax);
      kernel.at();
      a.emit("fninit");
      kernel.finish();
    },
  },
  {
    name: "fpu.wait",
    rule: "WAIT with TS set is #NM only when MP is set",
    expect: "#07+13",
    code(kernel) {
      const { a } = kernel;
      a.emit("smsw", eax);
      a.emit("or", eax, 8);
      a.emit("lmsw", ax);
      kernel.at();
      a.emit("fwait");
      a.emit("nop");
      a.emit("clts");
      a.emit("smsw", eax);
      a.emit("or", eax, 10);
      a.emit("lmsw", ax);
      a.emit("fwait");
      kernel.finish();
    },
  },
];

export const segmentChecks: readonly SystemCheck[] = [
  ...limitChecks,
  ...typeChecks,
  ...loadChecks,
  ...inspectChecks,
  ...otherChecks,
];
