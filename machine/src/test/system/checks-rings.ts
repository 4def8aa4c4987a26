/**
 * Checks of rings: privileged instructions, IOPL and the I/O permission map, interrupt, trap and call gates, stacks of inner rings,
 * RET and IRET to outer rings. Source of the rules: Pentium Processor Family Developer's Manual, volume 3, chapters 12, 14 and 15,
 * and the pages of INT, IRET, CALL, JMP, RET. Long because it is a table of checks.
 */

import {
  al,
  ax,
  bx,
  cr0,
  cs,
  debugRegisters,
  ds,
  dword,
  dx,
  eax,
  ebx,
  ecx,
  es,
  esp,
  far,
  fs,
  fword,
  gs,
  memory,
  ss,
} from "../../i386/assembly.ts";
import { Address, type CheckWriter, describe, Selector, type SystemCheck, Tss } from "./check-writer.ts";

const IOPL_3 = 0x3000;
const CALL_GATE_3 = 0xec;
const FLAT = 0xc;

/** An instruction in ring 3, with the flags given. */
function inRing3(
  name: string,
  rule: string,
  expect: string,
  emit: (kernel: CheckWriter) => void,
  flags = 2,
  prepare?: (kernel: CheckWriter) => void,
): SystemCheck {
  return {
    name: `ring3.${name}`,
    rule,
    expect,
    code(kernel) {
      prepare?.(kernel);
      kernel.enterRing(3, flags);
      kernel.at();
      emit(kernel);
      kernel.finishFromRing();
    },
  };
}

const PRIVILEGED = "an instruction of ring 0 is #GP(0) elsewhere";
const privilegedChecks: SystemCheck[] = [
  inRing3("hlt", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("hlt")),
  inRing3("clts", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("clts")),
  inRing3("movToCr0", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("mov", cr0, eax)),
  inRing3("movFromCr0", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("mov", eax, cr0)),
  inRing3("movFromDr7", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("mov", eax, debugRegisters[7]!)),
  inRing3("lgdt", PRIVILEGED, "#0d(0000) r3", ({ a }) => {
    a.emit("lgdt", fword({ displacement: Address.scratch }));
  }),
  inRing3("lidt", PRIVILEGED, "#0d(0000) r3", ({ a }) => {
    a.emit("lidt", fword({ displacement: Address.scratch }));
  }),
  inRing3("lldt", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("lldt", bx)),
  inRing3("ltr", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("ltr", bx)),
  inRing3("lmsw", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("lmsw", bx)),
  inRing3("invlpg", PRIVILEGED, "#0d(0000) r3", ({ a }) => {
    a.emit("invlpg", memory({ displacement: Address.scratch }));
  }),
  inRing3("wbinvd", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("wbinvd")),
  inRing3("rdmsr", PRIVILEGED, "#0d(0000) r3", ({ a }) => a.emit("rdmsr")),
  inRing3("cli", "CLI with CPL above IOPL is #GP(0)", "#0d(0000) r3", ({ a }) => a.emit("cli")),
  inRing3("sti", "STI with CPL above IOPL is #GP(0)", "#0d(0000) r3", ({ a }) => a.emit("sti")),
  inRing3("cli.iopl3", "CLI is allowed up to IOPL", "ok", ({ a }) => a.emit("cli"), 2 | IOPL_3),
  inRing3("in.closed", "a port whose bit in the I/O map is set is #GP(0)", "#0d(0000) r3", ({ a }) => {
    a.emit("in", al, 0x61);
  }),
  inRing3(
    "in.iopl3",
    "with CPL up to IOPL the I/O map does not matter",
    "ok",
    ({ a }) => a.emit("in", al, 0x61),
    2 | IOPL_3,
  ),
  inRing3("in.open", "a port whose bit in the I/O map is clear may be used", "ok", ({ a }) => {
    a.emit("mov", dx, 0x510);
    a.emit("in", eax, dx);
  }),
  inRing3("in.partlyOpen", "all bytes of the port must be open", "#0d(0000)+4 r3", ({ a }) => {
    a.emit("mov", dx, 0x511);
    a.emit("in", eax, dx);
  }),
  inRing3("in.beyondMap", "ports beyond the map's end are closed", "#0d(0000)+4 r3", ({ a }) => {
    a.emit("mov", dx, 0x4000);
    a.emit("in", al, dx);
  }),
  inRing3("outs.closed", "OUTS checks the port before it reads memory", "#0d(0000)+4 r3", ({ a }) => {
    a.emit("mov", dx, 0x61);
    a.emit("outsb");
  }),
  inRing3("rdtsc", "RDTSC is allowed while CR4.TSD is clear", "ok", ({ a }) => a.emit("rdtsc")),
  inRing3(
    "rdtsc.disabled",
    "RDTSC with CR4.TSD set is #GP(0) outside ring 0",
    "#0d(0000) r3",
    ({ a }) => a.emit("rdtsc"),
    2,
    ({ a }) => {
      a.emit("mov", eax, 4);
      a.bytes([0x0f, 0x22, 0xe0]);
    },
  ),
  inRing3("sgdt", "SGDT, SIDT, SLDT, STR and SMSW are allowed everywhere", "ok", ({ a }) => {
    a.emit("sgdt", fword({ displacement: Address.scratch }));
    a.emit("sldt", eax);
    a.emit("str", eax);
    a.emit("smsw", eax);
  }),
  inRing3("popf", "POPF above IOPL changes neither IF nor IOPL", "ok; 10002 cd7", (kernel) => {
    const { a } = kernel;
    a.emit("push", 0x3ed7);
    a.emit("popfd");
    a.emit("pushfd");
    a.emit("pop", ebx);
    a.emit("mov", eax, 0x1_0002);
    kernel.note(eax);
    a.emit("push", ebx);
    a.emit("popfd");
    a.emit("pushfd");
    a.emit("pop", ebx);
    a.emit("push", 2);
    a.emit("popfd");
    kernel.note(ebx);
  }),
  inRing3("load.data0", "a data segment of an inner ring is #GP(selector)", "#0d(0010)+4 r3", ({ a }) => {
    a.emit("mov", bx, Selector.data);
    a.emit("mov", ds, bx);
  }),
  inRing3(
    "load.code0.conforming",
    "a conforming segment of an inner ring can be loaded as data",
    "ok",
    ({ a }) => {
      a.emit("mov", bx, Selector.conforming);
      a.emit("mov", es, bx);
    },
  ),
  inRing3(
    "int.gate0",
    "INT n through a gate with DPL below CPL is #GP(n × 8 + 2)",
    "#0d(01ea) r3",
    ({ a }) => {
      a.emit("int", 0x3d);
    },
  ),
  inRing3("int3.gate0", "INT3 checks the gate's DPL too", "#0d(001a) r3", ({ a }) => a.emit("int3")),
  inRing3("ud2", "an exception does not check the gate's DPL", "#06 r3", ({ a }) => a.emit("ud2")),
  inRing3(
    "jmp.code0",
    "a direct jump to a nonconforming segment of an inner ring is #GP(selector)",
    "#0d(0008) r3",
    ({ a }) => {
      a.emit("jmp", far(Selector.code, 0));
    },
  ),
  inRing3("call.code0", "the same for CALL", "#0d(0008) r3", ({ a }) =>
    a.emit("call", far(Selector.code, 0)),
  ),
  inRing3("jmp.tss0", "a TSS with DPL below CPL is #GP(selector)", "#0d(0030) r3", ({ a }) => {
    a.emit("jmp", far(Selector.tssA, 0));
  }),
  inRing3("jmp.conforming", "a jump to a conforming segment keeps CPL", "ok; 6b", (kernel) => {
    const { a } = kernel;
    const inside = a.newLabel();
    a.emit("jmp", far(Selector.conforming, inside));
    a.place(inside);
    a.emit("mov", eax, cs);
    kernel.note(eax);
  }),
];

/** INT 30h, through a gate made by `prepare`, from the given ring. */
function throughGate(
  name: string,
  rule: string,
  expect: string,
  ring: 0 | 1 | 3,
  prepare: (kernel: CheckWriter) => void,
  flags = 2,
): SystemCheck {
  return {
    name: `gate.${name}`,
    rule,
    expect,
    code(kernel) {
      prepare(kernel);
      if (ring !== 0) kernel.enterRing(ring, flags);
      kernel.at();
      kernel.a.emit("int", 0x30);
      kernel.finishFromRing();
    },
  };
}

/** A gate for vector 30h whose handler notes the flags and the pushed frame: EIP's distance from INT, CS, flags, ESP, SS. */
function noteFrame(kernel: CheckWriter, type: number, selector: number, words: number): void {
  const { a } = kernel;
  const handler = a.newLabel();
  const around = a.newLabel();
  kernel.gate(0x30, type, selector, handler);
  a.emit("jmp", around);
  a.place(handler);
  a.emit("pushfd");
  a.emit("pop", ebx);
  a.emit("mov", ecx, esp);
  a.emit("and", ebx, 0xffff_fb2a);
  kernel.note(ebx);
  a.emit("mov", eax, cs);
  kernel.note(eax);
  a.emit("mov", eax, ss);
  kernel.note(eax);
  kernel.note(ecx);
  for (let i = 1; i < words; i++) {
    a.emit("mov", eax, dword({ base: ecx, displacement: 4 * i }));
    if (i === 2) a.emit("and", eax, 0xffff_fb2a);
    kernel.note(eax);
  }
  kernel.finishFromRing();
  a.place(around);
}

const NOT_IN_TABLE = "an exception while a gate is looked at has the vector × 8 + 2 as code";
const gateChecks: SystemCheck[] = [
  throughGate(
    "interrupt.3-0",
    "an interrupt gate to ring 0 takes SS0:ESP0, pushes SS, ESP, EFLAGS, CS, EIP and clears IF",
    "ok; 3002 8 10 330fec 1b 3202 334000 23",
    3,
    (kernel) => {
      noteFrame(kernel, 0xee, Selector.code, 5);
    },
    0x3202,
  ),
  throughGate(
    "trap.3-0",
    "a trap gate leaves IF",
    "ok; 3202 8 10 330fec 1b 3202 334000 23",
    3,
    (kernel) => {
      noteFrame(kernel, 0xef, Selector.code, 5);
    },
    0x3202,
  ),
  throughGate(
    "trap.3-1",
    "a gate to ring 1 takes SS1:ESP1",
    "ok; 2 49 51 331fec 1b 2 334000 23",
    3,
    (kernel) => {
      noteFrame(kernel, 0xef, Selector.code1, 5);
    },
  ),
  throughGate("trap.1-0", "from ring 1 to ring 0", "ok; 2 8 10 330fec 49 2 334000 51", 1, (kernel) => {
    noteFrame(kernel, 0xef, Selector.code, 5);
  }),
  throughGate(
    "trap.1-1",
    "to the same ring nothing but EFLAGS, CS, EIP is pushed, on the same stack",
    "ok; 2 49 51 333ff4 49 2",
    1,
    (kernel) => {
      noteFrame(kernel, 0xef, Selector.code1, 3);
    },
  ),
  throughGate("trap.0-0", "the same in ring 0", "ok; 2 8 10 334ff4 8 2", 0, (kernel) => {
    noteFrame(kernel, 0x8f, Selector.code, 3);
  }),
  throughGate(
    "conforming",
    "a conforming handler runs in the ring of the interrupted code",
    "ok; 2 6b 23 333ff4 1b 2",
    3,
    (kernel) => {
      noteFrame(kernel, 0xef, Selector.conforming, 3);
    },
  ),
  throughGate(
    "nt",
    "delivery clears NT and TF in EFLAGS, not in the image",
    "ok; 2 8 10 330fec 1b 4002 334000 23",
    3,
    (kernel) => {
      noteFrame(kernel, 0xee, Selector.code, 5);
    },
    0x4002,
  ),
  throughGate("absent", NOT_IN_TABLE, "#0b(0182)", 0, (kernel) => kernel.gateType(0x30, 0x0e)),
  throughGate("absent.dpl", "DPL is checked before presence", "#0d(0182) r3", 3, (kernel) =>
    kernel.gateType(0x30, 0x0e),
  ),
  throughGate("type", "a descriptor that is no gate is #GP", "#0d(0182)", 0, (kernel) =>
    kernel.gateType(0x30, 0x8c),
  ),
  throughGate("null", "a null selector in the gate is #GP(0)", "#0d(0000)", 0, (kernel) => {
    kernel.store(Address.idt + 0x180, 0);
  }),
  throughGate("outside", "a selector beyond the GDT is #GP(selector)", "#0d(00f8)", 0, (kernel) => {
    kernel.store(Address.idt + 0x180, 0xf8 << 16);
  }),
  throughGate("data", "a data segment is #GP(selector)", "#0d(0010)", 0, (kernel) => {
    kernel.store(Address.idt + 0x180, Selector.data << 16);
  }),
  throughGate("outward", "a handler in an outer ring is #GP(selector)", "#0d(0018)", 0, (kernel) => {
    kernel.store(Address.idt + 0x180, 0x18 << 16);
  }),
  throughGate("absentCode", "an absent code segment is #NP(selector)", "#0b(0098)", 0, (kernel) => {
    kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x1b, FLAT));
    kernel.store(Address.idt + 0x180, Selector.slotA << 16);
  }),
  throughGate(
    "offset",
    "an entry point beyond the code segment's limit is #GP(0)",
    "#0d(0000)",
    0,
    (kernel) => {
      kernel.descriptor(Selector.slotA, describe(0, 0xff, 0x9b, 4));
      kernel.store(Address.idt + 0x180, (Selector.slotA << 16) | 0x1000);
      kernel.store(Address.idt + 0x184, 0x8e00);
    },
  ),
  {
    name: "gate.idtLimit",
    rule: "a vector beyond the IDT's limit is #GP(vector × 8 + 2)",
    expect: "#0d(040a)",
    code(kernel) {
      kernel.at();
      kernel.a.emit("int", 0x81);
      kernel.finish();
    },
  },
  ...(
    [
      [
        "tssLimit",
        "a TSS too short for the stack of the new ring is #TS(TSS)",
        "#0a(00a0) r3",
        (kernel: CheckWriter) => {
          // Ring 1's pair needs bytes up to 11H; the handler of the fault itself runs on ring 0's.
          kernel.descriptor(Selector.slotB, describe(Address.tss, 0x10, 0x89));
          kernel.a.emit("mov", bx, Selector.slotB);
          kernel.a.emit("ltr", bx);
        },
      ],
      [
        "nullStack",
        "a null SS in the TSS is #TS(0)",
        "#0a(0000) r3",
        (kernel: CheckWriter) => {
          kernel.store(Address.tss + Tss.ss1, 0);
        },
      ],
      [
        "stackRpl",
        "RPL of the TSS's SS must be the new ring: #TS(selector)",
        "#0a(0050) r3",
        (kernel: CheckWriter) => {
          kernel.store(Address.tss + Tss.ss1, 0x50);
        },
      ],
      [
        "stackDpl",
        "DPL of the TSS's SS must be the new ring: #TS(selector)",
        "#0a(0010) r3",
        (kernel: CheckWriter) => {
          kernel.store(Address.tss + Tss.ss1, 0x11);
        },
      ],
      [
        "stackReadOnly",
        "the TSS's SS must be writable: #TS(selector)",
        "#0a(0098) r3",
        (kernel: CheckWriter) => {
          kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0xb1, FLAT));
          kernel.store(Address.tss + Tss.ss1, Selector.slotA | 1);
        },
      ],
      [
        "stackAbsent",
        "an absent SS in the TSS is #SS(selector)",
        "#0c(0098) r3",
        (kernel: CheckWriter) => {
          kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x33, FLAT));
          kernel.store(Address.tss + Tss.ss1, Selector.slotA | 1);
        },
      ],
      [
        "stackOutside",
        "SS of the TSS beyond the GDT is #TS(selector)",
        "#0a(00f8) r3",
        (kernel: CheckWriter) => {
          kernel.store(Address.tss + Tss.ss1, 0xf9);
        },
      ],
      [
        "stackRoom",
        "an inner stack without room for the frame is #SS(selector)",
        "#0c(0098) r3",
        (kernel: CheckWriter) => {
          kernel.descriptor(Selector.slotA, describe(Address.scratch, 0xfff, 0xb3, 4));
          kernel.store(Address.tss + Tss.ss1, Selector.slotA | 1);
          kernel.store(Address.tss + Tss.esp1, 16);
        },
      ],
    ] as const
  ).map(([name, rule, expect, spoil]) =>
    throughGate(name, rule, expect, 3, (kernel) => {
      const handler = kernel.a.newLabel();
      const around = kernel.a.newLabel();
      kernel.gate(0x30, 0xef, Selector.code1, handler);
      kernel.a.emit("jmp", around);
      kernel.a.place(handler);
      kernel.finishFromRing();
      kernel.a.place(around);
      spoil(kernel);
    }),
  ),
];

/** A call gate in slot A to ring 0 (or the segment given); its code notes CS, SS, ESP and the frame. */
function callGate(
  kernel: CheckWriter,
  selector: number,
  parameters: number,
  words: number,
  type = CALL_GATE_3,
): void {
  const { a } = kernel;
  const entry = a.newLabel();
  const around = a.newLabel();
  kernel.gateAt(Address.gdt + Selector.slotA, type, selector, entry, parameters);
  a.emit("jmp", around);
  a.place(entry);
  a.emit("mov", ecx, esp);
  a.emit("mov", eax, cs);
  kernel.note(eax);
  a.emit("mov", eax, ss);
  kernel.note(eax);
  kernel.note(ecx);
  for (let i = 1; i < words; i++) {
    a.emit("mov", eax, dword({ base: ecx, displacement: 4 * i }));
    kernel.note(eax);
  }
  a.emit("ret");
  a.place(around);
}

function callThrough(
  name: string,
  rule: string,
  expect: string,
  ring: 0 | 1 | 3,
  prepare: (kernel: CheckWriter) => void,
  emit?: (kernel: CheckWriter) => void,
): SystemCheck {
  return {
    name: `callGate.${name}`,
    rule,
    expect,
    code(kernel) {
      prepare(kernel);
      if (ring !== 0) kernel.enterRing(ring);
      if (emit) emit(kernel);
      else {
        kernel.at();
        kernel.a.emit("call", far(Selector.slotA, 0x1234_5678));
      }
      kernel.finishFromRing();
    },
  };
}

const callGateChecks: SystemCheck[] = [
  callThrough(
    "parameters",
    "a call gate to ring 0 pushes SS and ESP, copies the parameters, pushes CS and EIP; RETF n releases them on both stacks",
    "ok; 8 10 330fe8 1b 1111 2222 333ff8 23 334000 1b",
    3,
    (kernel) => {
      const { a } = kernel;
      const entry = a.newLabel();
      const around = a.newLabel();
      kernel.gateAt(Address.gdt + Selector.slotA, CALL_GATE_3, Selector.code, entry, 2);
      a.emit("jmp", around);
      a.place(entry);
      a.emit("mov", ecx, esp);
      a.emit("mov", eax, cs);
      kernel.note(eax);
      a.emit("mov", eax, ss);
      kernel.note(eax);
      kernel.note(ecx);
      for (let i = 1; i < 6; i++) {
        a.emit("mov", eax, dword({ base: ecx, displacement: 4 * i }));
        kernel.note(eax);
      }
      a.emit("retf", 8);
      a.place(around);
    },
    (kernel) => {
      const { a } = kernel;
      a.emit("push", 0x2222);
      a.emit("push", 0x1111);
      a.emit("call", far(Selector.slotA, 0));
      a.emit("mov", ebx, esp);
      kernel.note(ebx);
      a.emit("mov", eax, cs);
      kernel.note(eax);
    },
  ),
  callThrough(
    "same",
    "a call gate to the same ring pushes CS and EIP only",
    "ok; 8 10 334ff8 8",
    0,
    (kernel) => {
      const { a } = kernel;
      const entry = a.newLabel();
      const around = a.newLabel();
      kernel.gateAt(Address.gdt + Selector.slotA, CALL_GATE_3, Selector.code, entry);
      a.emit("jmp", around);
      a.place(entry);
      a.emit("mov", ecx, esp);
      a.emit("mov", eax, cs);
      kernel.note(eax);
      a.emit("mov", eax, ss);
      kernel.note(eax);
      kernel.note(ecx);
      a.emit("mov", eax, dword({ base: ecx, displacement: 4 }));
      kernel.note(eax);
      a.emit("retf");
      a.place(around);
    },
  ),
  callThrough("dpl", "a gate with DPL below CPL is #GP(gate)", "#0d(0098) r3", 3, (kernel) => {
    callGate(kernel, Selector.code, 0, 1, 0x8c);
  }),
  callThrough(
    "rpl",
    "a gate with DPL below the selector's RPL is #GP(gate)",
    "#0d(0098)",
    0,
    (kernel) => {
      callGate(kernel, Selector.code, 0, 1, 0x8c);
    },
    (kernel) => {
      kernel.at();
      kernel.a.emit("call", far(Selector.slotA | 3, 0));
    },
  ),
  callThrough("absent", "an absent gate is #NP(gate)", "#0b(0098) r3", 3, (kernel) => {
    callGate(kernel, Selector.code, 0, 1, 0x6c);
  }),
  callThrough("null", "a null code selector in the gate is #GP(0)", "#0d(0000) r3", 3, (kernel) => {
    callGate(kernel, 0, 0, 1);
  }),
  callThrough("data", "a gate to a data segment is #GP(selector)", "#0d(0010) r3", 3, (kernel) => {
    callGate(kernel, Selector.data, 0, 1);
  }),
  callThrough("outward", "a gate to an outer ring is #GP(selector)", "#0d(0018)", 0, (kernel) => {
    callGate(kernel, 0x18, 0, 1);
  }),
  callThrough(
    "absentCode",
    "a gate to an absent code segment is #NP(selector)",
    "#0b(00a0) r3",
    3,
    (kernel) => {
      kernel.descriptor(Selector.slotB, describe(0, 0xf_ffff, 0x1b, FLAT));
      callGate(kernel, Selector.slotB, 0, 1);
    },
  ),
  callThrough(
    "jump",
    "JMP through a gate to an inner ring is #GP(selector)",
    "#0d(0008) r3",
    3,
    (kernel) => {
      callGate(kernel, Selector.code, 0, 1);
    },
    (kernel) => {
      kernel.at();
      kernel.a.emit("jmp", far(Selector.slotA, 0));
    },
  ),
  callThrough("stack", "a bad SS in the TSS is #TS(selector)", "#0a(0010) r3", 3, (kernel) => {
    const { a } = kernel;
    const entry = a.newLabel();
    const around = a.newLabel();
    kernel.gateAt(Address.gdt + Selector.slotA, CALL_GATE_3, Selector.code1, entry);
    a.emit("jmp", around);
    a.place(entry);
    kernel.finishFromRing();
    a.place(around);
    kernel.store(Address.tss + Tss.ss1, 0x11);
  }),
  callThrough(
    "parameterFault",
    "parameters beyond the caller's stack limit are #SS(0) and nothing changes",
    "#0c(0000) r3",
    3,
    (kernel) => {
      callGate(kernel, Selector.code, 4, 1);
      kernel.descriptor(Selector.slotB, describe(Address.scratch, 0xfff, 0xf3, 4));
    },
    (kernel) => {
      const { a } = kernel;
      a.emit("mov", bx, Selector.slotB | 3);
      a.emit("mov", ss, bx);
      a.emit("mov", esp, 0xff8);
      kernel.at();
      a.emit("call", far(Selector.slotA, 0));
    },
  ),
];

const dataSegmentsAfterReturn = (kernel: CheckWriter): void => {
  const { a } = kernel;
  for (const segment of [ds, es, fs, gs]) {
    a.emit("mov", eax, segment);
    a.emit("push", eax);
  }
  a.emit("mov", ax, Selector.userData);
  a.emit("mov", ds, ax);
  a.emit("mov", es, ax);
  for (let i = 0; i < 4; i++) {
    a.emit("pop", eax);
    kernel.note(eax);
  }
};

/** A return from ring 0 with the words pushed in order. */
function returnTo(
  name: string,
  rule: string,
  expect: string,
  instruction: "iretd" | "retf",
  words: readonly (number | "here")[],
  prepare?: (kernel: CheckWriter) => void,
  after?: (kernel: CheckWriter) => void,
): SystemCheck {
  return {
    name: `${instruction}.${name}`,
    rule,
    expect,
    code(kernel) {
      const { a } = kernel;
      const target = a.newLabel();
      prepare?.(kernel);
      for (const value of words) {
        if (value === "here") {
          a.emit("lea", eax, dword({ displacement: target }));
          a.emit("push", eax);
        } else a.emit("push", value);
      }
      kernel.at();
      a.emit(instruction);
      a.place(target);
      after?.(kernel);
      kernel.finishFromRing();
    },
  };
}

const user = [Selector.userData, Address.userStack] as const;
const returnChecks: SystemCheck[] = [
  returnTo(
    "outer.segments",
    "IRET to an outer ring nulls data segments that it may not use; conforming code stays",
    "ok; 68 0 23 0",
    "iretd",
    [...user, 2, Selector.userCode, "here"],
    ({ a }) => {
      for (const [segment, selector] of [
        [ds, Selector.data],
        [es, Selector.userData],
        [fs, Selector.code],
        [gs, Selector.conforming],
      ] as const) {
        a.emit("mov", ax, selector);
        a.emit("mov", segment, ax);
      }
    },
    dataSegmentsAfterReturn,
  ),
  returnTo(
    "outer.segments",
    "RETF to an outer ring does the same",
    "ok; 23 68 0 0",
    "retf",
    [...user, Selector.userCode, "here"],
    ({ a }) => {
      for (const [segment, selector] of [
        [ds, Selector.data],
        [es, Selector.data],
        [fs, Selector.conforming],
        [gs, Selector.userData],
      ] as const) {
        a.emit("mov", ax, selector);
        a.emit("mov", segment, ax);
      }
    },
    dataSegmentsAfterReturn,
  ),
  returnTo("null", "a null CS is #GP(0)", "#0d(0000)", "iretd", [2, 0, "here"]),
  returnTo("outside", "CS beyond the GDT is #GP(selector)", "#0d(00f8)", "iretd", [2, 0xf8, "here"]),
  returnTo("data", "a data segment as CS is #GP(selector)", "#0d(0010)", "iretd", [2, Selector.data, "here"]),
  returnTo("dpl", "CS whose DPL is not RPL is #GP(selector)", "#0d(0018)", "iretd", [2, 0x18, "here"]),
  returnTo(
    "absent",
    "an absent CS is #NP(selector)",
    "#0b(0098)",
    "iretd",
    [2, Selector.slotA, "here"],
    (kernel) => {
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x1b, FLAT));
    },
  ),
  returnTo(
    "offset",
    "EIP beyond CS's limit is #GP(0)",
    "#0d(0000)",
    "iretd",
    [2, Selector.slotA, 0x2000],
    (kernel) => {
      kernel.descriptor(Selector.slotA, describe(0, 0xfff, 0x9b, 4));
    },
  ),
  returnTo("stackNull", "a null SS on the way out is #GP(0)", "#0d(0000)", "iretd", [
    0,
    0,
    2,
    Selector.userCode,
    "here",
  ]),
  returnTo("stackRpl", "SS whose RPL is not that of CS is #GP(selector)", "#0d(0020)", "iretd", [
    0x22,
    0,
    2,
    Selector.userCode,
    "here",
  ]),
  returnTo("stackDpl", "SS whose DPL is not RPL is #GP(selector)", "#0d(0010)", "iretd", [
    0x13,
    0,
    2,
    Selector.userCode,
    "here",
  ]),
  returnTo(
    "stackAbsent",
    "an absent SS is #SS(selector)",
    "#0c(0098)",
    "iretd",
    [Selector.slotA | 3, 0, 2, Selector.userCode, "here"],
    (kernel) => {
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0x73, FLAT));
    },
  ),
  returnTo("null", "a null CS is #GP(0)", "#0d(0000)", "retf", [0, "here"]),
  returnTo(
    "stackReadOnly",
    "SS must be writable: #GP(selector)",
    "#0d(0098)",
    "retf",
    [Selector.slotA | 3, 0, Selector.userCode, "here"],
    (kernel) => {
      kernel.descriptor(Selector.slotA, describe(0, 0xf_ffff, 0xf1, FLAT));
    },
  ),
  {
    name: "iretd.inward",
    rule: "a return to an inner ring is #GP(selector)",
    expect: "#0d(0008) r3",
    code(kernel) {
      const { a } = kernel;
      kernel.enterRing(3);
      a.emit("push", 2);
      a.emit("push", Selector.code);
      a.emit("push", 0);
      kernel.at();
      a.emit("iretd");
    },
  },
  {
    name: "iretd.flags",
    rule: "IRET above IOPL changes neither IF nor IOPL; AC and ID change everywhere",
    expect: "ok; 240cd7",
    code(kernel) {
      const { a } = kernel;
      const inside = a.newLabel();
      kernel.enterRing(3);
      a.emit("push", 0x24_3ed7);
      a.emit("push", Selector.userCode);
      a.emit("lea", eax, dword({ displacement: inside }));
      a.emit("push", eax);
      a.emit("iretd");
      a.place(inside);
      a.emit("pushfd");
      a.emit("pop", ebx);
      a.emit("push", 2);
      a.emit("popfd");
      kernel.note(ebx);
      kernel.finishFromRing();
    },
  },
  {
    name: "call.farDirect",
    rule: "CALL to the same ring pushes CS and EIP",
    expect: "ok; 8 334ff8",
    code(kernel) {
      const { a } = kernel;
      const inside = a.newLabel();
      a.emit("call", far(Selector.code, inside));
      a.place(inside);
      a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
      a.emit("mov", ecx, esp);
      kernel.note(eax);
      kernel.note(ecx);
      kernel.finish();
    },
  },
  {
    name: "jmp.limit",
    rule: "a near jump beyond CS's limit is the jump's own #GP(0)",
    expect: "#0d(0000)",
    code(kernel) {
      const { a } = kernel;
      const inside = a.newLabel();
      // The limit ends behind this kernel's code.
      kernel.descriptor(Selector.slotA, describe(0, 0x2ff, 0x9b, FLAT));
      a.emit("jmp", far(Selector.slotA, inside));
      a.place(inside);
      a.emit("mov", ebx, 0x30_0000);
      kernel.at();
      a.emit("jmp", ebx);
    },
  },
  {
    name: "call.limit",
    rule: "a near call beyond CS's limit is #GP(0) and pushes nothing",
    expect: "#0d(0000)",
    code(kernel) {
      const { a } = kernel;
      const inside = a.newLabel();
      kernel.descriptor(Selector.slotA, describe(0, 0x2ff, 0x9b, FLAT));
      a.emit("jmp", far(Selector.slotA, inside));
      a.place(inside);
      a.emit("mov", ebx, 0x30_0000);
      kernel.at();
      a.emit("call", ebx);
    },
  },
  {
    name: "ret.limit",
    rule: "a near return beyond CS's limit is #GP(0), ESP unchanged",
    expect: "#0d(0000)",
    code(kernel) {
      const { a } = kernel;
      const inside = a.newLabel();
      kernel.descriptor(Selector.slotA, describe(0, 0x2ff, 0x9b, FLAT));
      a.emit("jmp", far(Selector.slotA, inside));
      a.place(inside);
      a.emit("push", 0x30_0000);
      kernel.at();
      a.emit("ret");
    },
  },
  {
    name: "fetch.limit",
    rule: "running off the end of CS is #GP(0) at the first instruction that does not fit",
    expect: "ok; 103",
    code(kernel) {
      const { a } = kernel;
      const handler = a.newLabel();
      const around = a.newLabel();
      kernel.gate(13, 0x8e, Selector.code, handler);
      a.emit("jmp", around);
      a.place(handler);
      a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
      kernel.note(eax);
      kernel.finish();
      a.place(around);
      // NOPs up to the last byte of the segment, and one behind it.
      a.emit("mov", dword({ displacement: Address.scratch + 0x100 }), 0x9090_9090 | 0);
      kernel.descriptor(Selector.slotA, describe(Address.scratch, 0x102, 0x9b, 4));
      a.emit("jmp", far(Selector.slotA, 0x100));
    },
  },
];

export const ringChecks: readonly SystemCheck[] = [
  ...privilegedChecks,
  ...gateChecks,
  ...callGateChecks,
  ...returnChecks,
];
