/**
 * Checks of single steps, debug registers, alignment checks and the shadows of STI and MOV SS. Source of the rules: Pentium Processor
 * Family Developer's Manual, volume 3, chapters 17 (debugging) and 14 (interrupts 1 and 17), and the pages of MOV, POP, STI.
 */

import {
  ax,
  byte,
  cr0,
  debugRegisters,
  dword,
  eax,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  esp,
  type Label,
  ss,
  word,
} from "../../i386/assembly.ts";
import { Address, type CheckWriter, Selector, type SystemCheck } from "./check-writer.ts";

const AM = 0x4_0000;
const AC = 0x4_0000;
const TF = 0x100;
const [dr0, dr1, , , , , dr6, dr7] = debugRegisters;

/** A handler of #DB that notes the distance of the saved EIP from `place` and DR6's low and top bits, then goes on after `times`. */
function debugHandler(kernel: CheckWriter, place: Label, times: number, after?: () => void): void {
  const { a } = kernel;
  const handler = a.newLabel();
  const around = a.newLabel();
  const more = a.newLabel();
  kernel.gate(1, 0x8e, Selector.code, handler);
  kernel.store(Address.scratch + 0x800, times);
  a.emit("jmp", around);
  a.place(handler);
  a.emit("push", eax);
  a.emit("push", ebx);
  a.emit("lea", ebx, dword({ displacement: place }));
  a.emit("mov", eax, dword({ base: esp, displacement: 8 }));
  a.emit("sub", eax, ebx);
  kernel.note(eax);
  a.emit("mov", eax, dr6!);
  a.emit("and", eax, 0xe00f);
  kernel.note(eax);
  a.emit("xor", eax, eax);
  a.emit("mov", dr6!, eax);
  after?.();
  a.emit("dec", dword({ displacement: Address.scratch + 0x800 }));
  a.emit("jnz", more);
  a.emit("pop", ebx);
  a.emit("pop", eax);
  a.emit("and", dword({ base: esp, displacement: 8 }), ~TF);
  a.emit("iretd");
  a.place(more);
  a.emit("pop", ebx);
  a.emit("pop", eax);
  a.emit("iretd");
  a.place(around);
}

function traceOn(kernel: CheckWriter): void {
  kernel.a.emit("push", TF | 2);
  kernel.a.emit("popfd");
}

function check(name: string, rule: string, expect: string, code: (kernel: CheckWriter) => void): SystemCheck {
  return { name, rule, expect, code };
}

function breakOn(kernel: CheckWriter, linear: number | Label, control: number): void {
  const { a } = kernel;
  if (typeof linear === "number") a.emit("mov", eax, linear);
  else a.emit("lea", eax, dword({ displacement: linear }));
  a.emit("mov", dr0!, eax);
  a.emit("mov", eax, control);
  a.emit("mov", dr7!, eax);
}

const ENABLE_0 = 0x2;
const ON_WRITE = 1 << 16;
const ON_ACCESS = 3 << 16;
const FOUR_BYTES = 3 << 18;
const TWO_BYTES = 1 << 18;

const stepChecks: SystemCheck[] = [
  check(
    "step",
    "TF: #DB with BS after every instruction from the one behind POPF on",
    "ok; 1 4000 2 4000 4 4000",
    (kernel) => {
      const { a } = kernel;
      const start = a.newLabel();
      debugHandler(kernel, start, 3);
      traceOn(kernel);
      a.place(start);
      a.emit("nop");
      a.emit("nop");
      a.emit("mov", ebx, ecx);
      a.emit("nop");
      kernel.finish();
    },
  ),
  check("step.jump", "the trap of a jump shows its target", "ok; 14 4000", (kernel) => {
    const { a } = kernel;
    const start = a.newLabel();
    debugHandler(kernel, start, 1);
    const target = a.newLabel();
    traceOn(kernel);
    a.place(start);
    a.emit("jmp", target);
    a.bytes(Array<number>(18).fill(0x90));
    a.place(target);
    a.emit("nop");
    kernel.finish();
  }),
  check(
    "step.rep",
    "a repeated string instruction traps after each repetition, at its own address",
    "ok; 0 4000 0 4000 2 4000",
    (kernel) => {
      const { a } = kernel;
      const start = a.newLabel();
      debugHandler(kernel, start, 3);
      a.emit("mov", esi, Address.scratch);
      a.emit("mov", edi, Address.scratch + 0x100);
      a.emit("mov", ecx, 3);
      traceOn(kernel);
      a.place(start);
      a.emitPrefixed("rep", "movsb");
      a.emit("nop");
      kernel.finish();
    },
  ),
  check(
    "step.int",
    "INT n clears TF: the handler is not traced, the pushed flags have it",
    "ok; 302 0 4000",
    (kernel) => {
      const { a } = kernel;
      const start = a.newLabel();
      const handler = a.newLabel();
      debugHandler(kernel, start, 1);
      kernel.gate(0x30, 0x8f, Selector.code, handler);
      const around = a.newLabel();
      a.emit("jmp", around);
      a.place(handler);
      a.emit("mov", eax, dword({ base: esp, displacement: 8 }));
      a.emit("or", eax, 0x200);
      a.emit("and", eax, 0x302);
      kernel.note(eax);
      a.emit("iretd");
      a.place(around);
      traceOn(kernel);
      a.emit("int", 0x30);
      a.emit("nop");
      a.place(start);
      a.emit("nop");
      kernel.finish();
    },
  ),
  check("step.movSs", "MOV SS holds the trap until the next instruction has run", "ok; 1 4000", (kernel) => {
    const { a } = kernel;
    const start = a.newLabel();
    debugHandler(kernel, start, 1);
    a.emit("mov", ax, Selector.data);
    traceOn(kernel);
    a.emit("mov", ss, ax);
    a.place(start);
    a.emit("nop");
    a.emit("nop");
    kernel.finish();
  }),
  check("step.fault", "a fault is delivered instead of the trap", "#06", (kernel) => {
    const { a } = kernel;
    traceOn(kernel);
    kernel.at();
    a.emit("ud2");
  }),
  check("int1", "opcode F1 is #DB behind it, without bits in DR6", "ok; 1 0", (kernel) => {
    const { a } = kernel;
    const start = a.newLabel();
    debugHandler(kernel, start, 1);
    a.place(start);
    a.bytes([0xf1]);
    a.emit("nop");
    kernel.finish();
  }),
];

const breakpointChecks: SystemCheck[] = [
  check(
    "break.code",
    "an instruction breakpoint is a fault in front of the instruction",
    "ok; 0 1",
    (kernel) => {
      const { a } = kernel;
      const place = a.newLabel();
      debugHandler(kernel, place, 1, () => {
        a.emit("xor", eax, eax);
        a.emit("mov", dr7!, eax);
      });
      breakOn(kernel, place, ENABLE_0);
      a.emit("nop");
      a.place(place);
      a.emit("nop");
      kernel.finish();
    },
  ),
  check(
    "break.resume",
    "RF in the flags that IRET loads lets the instruction run",
    "ok; 0 1 55",
    (kernel) => {
      const { a } = kernel;
      const place = a.newLabel();
      debugHandler(kernel, place, 1, () => {
        a.emit("or", dword({ base: esp, displacement: 16 }), 0x1_0000);
      });
      a.emit("mov", ebx, 0x54);
      breakOn(kernel, place, ENABLE_0);
      a.place(place);
      a.emit("inc", ebx);
      a.emit("xor", eax, eax);
      a.emit("mov", dr7!, eax);
      kernel.note(ebx);
      kernel.finish();
    },
  ),
  check("break.write", "a data breakpoint traps behind the instruction that wrote", "ok; 0 1", (kernel) => {
    const { a } = kernel;
    const place = a.newLabel();
    debugHandler(kernel, place, 1);
    breakOn(kernel, Address.scratch + 0x10, ENABLE_0 | ON_WRITE | FOUR_BYTES);
    a.emit("mov", ecx, dword({ displacement: Address.scratch + 0x10 }));
    a.emit("mov", dword({ displacement: Address.scratch + 0x14 }), ecx);
    a.emit("mov", byte({ displacement: Address.scratch + 0x13 }), 1);
    a.place(place);
    a.emit("nop");
    kernel.finish();
  }),
  check(
    "break.access",
    "a breakpoint on accesses traps on reads too, when any byte is in the range",
    "ok; 0 1",
    (kernel) => {
      const { a } = kernel;
      const place = a.newLabel();
      debugHandler(kernel, place, 1);
      breakOn(kernel, Address.scratch + 0x12, ENABLE_0 | ON_ACCESS | TWO_BYTES);
      a.emit("mov", ecx, dword({ displacement: Address.scratch + 0x14 }));
      a.emit("mov", ecx, dword({ displacement: Address.scratch + 0x10 }));
      a.place(place);
      a.emit("nop");
      kernel.finish();
    },
  ),
  check(
    "break.generalDetect",
    "with DR7.GD any access to a debug register is #DB with BD, a fault",
    "ok; 0 2000",
    (kernel) => {
      const { a } = kernel;
      const place = a.newLabel();
      const handler = a.newLabel();
      kernel.gate(1, 0x8e, Selector.code, handler);
      a.emit("mov", eax, 0x2000);
      a.emit("mov", dr7!, eax);
      a.place(place);
      a.emit("mov", eax, dr1!);
      a.place(handler);
      a.emit("lea", ebx, dword({ displacement: place }));
      a.emit("mov", eax, dword({ base: esp }));
      a.emit("sub", eax, ebx);
      kernel.note(eax);
      a.emit("mov", eax, dr6!);
      a.emit("and", eax, 0xe00f);
      kernel.note(eax);
      kernel.finish();
    },
  ),
  check("break.alias", "DR4 is DR6 while CR4.DE is clear", "ok; ffff0ff0", (kernel) => {
    kernel.a.bytes([0x0f, 0x21, 0xe0]); // mov eax, dr4
    kernel.note(eax);
    kernel.finish();
  }),
  check("break.noAlias", "DR4 is #UD with CR4.DE", "#06", (kernel) => {
    const { a } = kernel;
    a.emit("mov", eax, 8);
    a.bytes([0x0f, 0x22, 0xe0]); // mov cr4, eax
    kernel.at();
    a.bytes([0x0f, 0x21, 0xe0]); // mov eax, dr4
  }),
];

/** An access in the given ring with AM and AC set. */
function aligned(
  name: string,
  rule: string,
  expect: string,
  emit: (kernel: CheckWriter) => void,
  ring: 1 | 3 = 3,
): SystemCheck {
  return check(`align.${name}`, rule, expect, (kernel) => {
    const { a } = kernel;
    a.emit("mov", eax, cr0);
    a.emit("or", eax, AM);
    a.emit("mov", cr0, eax);
    kernel.enterRing(ring, AC | 2);
    kernel.at();
    emit(kernel);
    kernel.finishFromRing();
  });
}

const alignmentChecks: SystemCheck[] = [
  aligned(
    "dword",
    "a double word at an odd address is #AC(0) in ring 3 with AM and AC",
    "#11(0000) r3",
    ({ a }) => {
      a.emit("mov", ecx, dword({ displacement: Address.scratch + 1 }));
    },
  ),
  aligned("dword2", "the same at an address that is only even", "#11(0000) r3", ({ a }) => {
    a.emit("mov", dword({ displacement: Address.scratch + 2 }), ecx);
  }),
  aligned("word", "a word at an odd address", "#11(0000) r3", ({ a }) => {
    a.emit("mov", ax, word({ displacement: Address.scratch + 1 }));
  }),
  aligned("good", "aligned accesses and bytes pass", "ok", ({ a }) => {
    a.emit("mov", ecx, dword({ displacement: Address.scratch + 4 }));
    a.emit("mov", ax, word({ displacement: Address.scratch + 2 }));
    a.emit("mov", byte({ displacement: Address.scratch + 1 }), 1);
  }),
  aligned(
    "ring1",
    "rings 0 to 2 are not checked",
    "ok",
    ({ a }) => {
      a.emit("mov", ecx, dword({ displacement: Address.scratch + 1 }));
    },
    1,
  ),
  aligned("push", "pushes are checked", "#11(0000)+1 r3", ({ a }) => {
    a.emit("dec", esp);
    a.emit("push", ecx);
  }),
];

const shadowChecks: SystemCheck[] = [
  check("cpuid", "CPUID 0: at least leaf 1, GenuineIntel", "ok; 756e6547 49656e69 6c65746e", (kernel) => {
    const { a } = kernel;
    a.emit("xor", eax, eax);
    a.emit("cpuid");
    a.emit("mov", esi, ecx);
    a.emit("mov", edi, edx);
    kernel.note(ebx);
    kernel.note(edi);
    kernel.note(esi);
    kernel.finish();
  }),
  check("flags.id", "the ID flag can be changed", "ok; 200000", (kernel) => {
    const { a } = kernel;
    a.emit("push", 0x20_0002);
    a.emit("popfd");
    a.emit("pushfd");
    a.emit("pop", eax);
    a.emit("and", eax, 0x20_0000);
    kernel.note(eax);
    kernel.finish();
  }),
];

export const debugChecks: readonly SystemCheck[] = [
  ...stepChecks,
  ...breakpointChecks,
  ...alignmentChecks,
  ...shadowChecks,
];
