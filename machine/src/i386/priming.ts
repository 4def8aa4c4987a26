/**
 * A small program that runs every case of the interpreter's switch once, both ways where there are two. The processor runs it in its
 * constructor, on its own RAM, which it restores. Reason: the host's compiler optimises the switch as a whole, and throws the
 * result away when a case runs that it has never seen; a kernel that boots meets new cases for seconds, and each time the
 * interpreter would fall back to a tenth of its speed. The guest cannot see it: registers, memory, time and counters are reset.
 */

import { Assembler } from "./assembler.ts";
import {
  al,
  ax,
  bl,
  byte,
  cl,
  dl,
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  esp,
  fword,
  memory,
  word,
} from "./assembly.ts";
import { conditions } from "./instruction.ts";

/** Physical addresses: two pages of code, one of data, which is also the stack. */
export const PRIMING_CODE = 0x1000;
/** Behind the first jump, which is two bytes long. */
const HANDLER = PRIMING_CODE + 2;
const SECOND_PAGE = 0x2000;
const DATA = 0x3000;
const STACK = 0x3f00;
const GDT = DATA + 0x600;
const IDT = DATA + 0x700;
/** Everything below this address is used. */
export const PRIMING_END = 0x5000;

const arithmetic = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;

/** Instructions that leave the flags in each of their lazy forms. */
function flagMakers(a: Assembler): (() => void)[] {
  return [
    () => {
      a.emit("push", 0xad7);
      a.emit("popfd");
    },
    () => a.emit("add", eax, ebx),
    () => {
      a.emit("stc");
      a.emit("adc", eax, ebx);
    },
    () => a.emit("sub", eax, ebx),
    () => {
      a.emit("stc");
      a.emit("sbb", eax, ebx);
    },
    () => a.emit("and", eax, ebx),
    () => a.emit("inc", eax),
    () => a.emit("dec", eax),
    () => a.emit("shl", eax, 3),
  ];
}

/** Machine code for PRIMING_CODE; it ends with HLT. */
export function assemblePriming(): Uint8Array {
  const a = new Assembler();
  const far = a.newLabel();
  const farEnd = a.newLabel();
  const cell = dword({ displacement: DATA + 16 });
  const based = dword({ base: esi, displacement: 16 });
  const indexed = dword({ base: esi, index: edi, scale: 2, displacement: 8 });
  // The handler of #UD stands first, where its address is known.
  const start = a.newLabel();
  a.emit("jmp", start);
  a.emit("add", dword({ base: esp }), 2);
  a.emit("iretd");
  a.place(start);
  a.emit("mov", esp, STACK);
  a.emit("mov", esi, DATA);
  a.emit("mov", edi, 4);
  a.emit("mov", ebp, 0x1234_5678);
  const again = a.newLabel();
  a.place(again);

  // A fault, which leaves the interpreter by another way: #UD, whose handler returns behind the instruction.
  a.emit("mov", dword({ displacement: IDT + 6 * 8 }), (8 << 16) | HANDLER);
  a.emit("mov", dword({ displacement: IDT + 6 * 8 + 4 }), 0x8e00);
  a.emit("mov", dword({ displacement: GDT + 8 }), 0xffff);
  a.emit("mov", dword({ displacement: GDT + 12 }), 0xcf9b00);
  a.emit("mov", word({ displacement: DATA + 0x20 }), 0xff);
  a.emit("mov", dword({ displacement: DATA + 0x22 }), GDT);
  a.emit("lgdt", fword({ displacement: DATA + 0x20 }));
  a.emit("mov", dword({ displacement: DATA + 0x22 }), IDT);
  a.emit("lidt", fword({ displacement: DATA + 0x20 }));
  a.emit("ud2");
  // Code that runs into code that was decoded before it.
  const later = a.newLabel();
  const earlier = a.newLabel();
  a.emit("mov", ecx, 2);
  a.emit("jmp", later);
  a.place(earlier);
  a.emit("nop");
  a.place(later);
  a.emit("dec", ecx);
  a.emit("jne", earlier);

  // Moves, each of memory also misaligned and across a page end, which takes the slow path.
  a.emit("mov", eax, ebx);
  for (const place of [
    based,
    indexed,
    cell,
    dword({ base: esi, displacement: 17 }),
    dword({ base: esi, displacement: 0xffe }),
  ]) {
    a.emit("mov", eax, place);
    a.emit("mov", place, eax);
    a.emit("mov", place, 5);
  }
  for (const place of [byte({ base: esi }), byte({ displacement: DATA + 5 })]) {
    a.emit("mov", al, place);
    a.emit("mov", place, al);
    a.emit("mov", place, 7);
    a.emit("movzx", ebx, place);
    a.emit("movsx", ebx, place);
    a.emit("cmp", place, 3);
  }
  for (const place of [word({ base: esi }), word({ base: esi, displacement: 0xfff })]) {
    a.emit("mov", ax, place);
    a.emit("mov", place, ax);
    a.emit("movzx", ebx, place);
    a.emit("movsx", ebx, place);
  }
  a.emit("mov", al, bl);
  a.emit("mov", dl, 9);
  a.emit("movzx", eax, cl);
  a.emit("movzx", eax, ax);
  a.emit("movsx", eax, cl);
  a.emit("movsx", eax, ax);
  a.emit("lea", eax, memory({ base: esi, index: edi, scale: 4, displacement: 3 }));

  // Arithmetic.
  for (const mnemonic of arithmetic) {
    a.emit(mnemonic, ecx, ebx);
    a.emit(mnemonic, ecx, 0x1234);
    a.emit(mnemonic, ecx, based);
    a.emit(mnemonic, based, ecx);
    a.emit(mnemonic, based, 0x55);
    a.emit(mnemonic, dword({ base: esi, displacement: 0x15 }), ecx);
  }
  a.emit("test", eax, ebx);
  a.emit("test", eax, 0x100);
  a.emit("test", based, 0x100);
  a.emit("test", al, bl);
  a.emit("test", al, 1);
  a.emit("cmp", al, 1);
  a.emit("cmp", al, bl);
  a.emit("inc", based);
  a.emit("dec", based);
  a.emit("inc", eax);
  a.emit("dec", eax);
  a.emit("neg", eax);
  a.emit("not", eax);
  a.emit("mov", eax, 0x7fff_1234);
  for (const mnemonic of ["shl", "shr", "sar"] as const) {
    a.emit("mov", ecx, 0);
    a.emit(mnemonic, eax, 3);
    a.emit(mnemonic, eax, cl);
    a.emit("mov", ecx, 5);
    a.emit(mnemonic, eax, cl);
  }
  a.emit("mov", eax, 0x7fff_1234);
  a.emit("imul", eax, ebp);
  a.emit("mov", eax, 3);
  a.emit("imul", eax, ecx);
  a.emit("imul", eax, based);
  a.emit("imul", eax, ecx, 77);
  a.emit("imul", eax, based, 77);
  a.emit("cdq");
  a.emit("nop");
  // One that is no case of the switch.
  a.emit("cld");
  a.emit("sete", dl);

  // Stack and calls.
  const function1 = a.newLabel();
  const function2 = a.newLabel();
  const around = a.newLabel();
  a.emit("push", eax);
  a.emit("push", 5);
  a.emit("push", based);
  a.emit("pop", eax);
  a.emit("pop", ebx);
  a.emit("pop", edx);
  a.emit("jmp", around);
  a.place(function1);
  a.emit("ret");
  a.place(function2);
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  a.emit("leave");
  a.emit("ret", 4);
  a.place(around);
  for (let i = 0; i < 2; i++) {
    a.emit("call", function1);
    a.emit("push", eax);
    a.emit("call", function2);
  }
  a.emit("call", far);
  a.emit("mov", ebx, SECOND_PAGE);
  a.emit("mov", dword({ displacement: DATA + 0x40 }), ebx);
  a.emit("call", ebx);
  a.emit("call", dword({ displacement: DATA + 0x40 }));
  const jumpRegister = a.newLabel();
  const jumpMemory = a.newLabel();
  const behind = a.newLabel();
  a.emit("call", jumpRegister);
  a.emit("call", jumpMemory);
  a.emit("jmp", behind);
  a.place(jumpRegister);
  a.emit("jmp", ebx);
  a.place(jumpMemory);
  a.emit("jmp", dword({ displacement: DATA + 0x40 }));
  a.place(behind);

  // Every condition after every kind of flags.
  for (const maker of flagMakers(a)) {
    maker();
    for (const condition of conditions) a.emit(`set${condition}`, dl);
  }
  a.emit("mov", dword({ displacement: DATA + 0x80 }), 2);
  const twice = a.newLabel();
  a.place(twice);
  for (const value of [0, 1, -1]) {
    a.emit("mov", eax, value);
    for (const comparison of [
      () => a.emit("cmp", eax, 0),
      () => a.emit("test", eax, eax),
      () => {
        a.emit("push", value === 0 ? 0x0c5 : 0x802);
        a.emit("popfd");
      },
    ]) {
      for (const condition of conditions) {
        const label = a.newLabel();
        comparison();
        a.emit(`j${condition}`, label);
        a.place(label);
      }
    }
  }
  // Jumps between pages, taken and not.
  a.emit("xor", eax, eax);
  a.emit("je", farEnd);
  a.emit("jne", farEnd);
  const back = a.newLabel();
  a.place(back);
  a.emit("dec", dword({ displacement: DATA + 0x80 }));
  a.emit("jne", twice);
  a.emit("inc", dword({ displacement: DATA + 0x84 }));
  a.emit("cmp", dword({ displacement: DATA + 0x84 }), 3);
  a.emit("jb", again);
  a.emit("hlt");

  a.align(0x1000);
  a.place(far);
  a.emit("ret");
  a.place(farEnd);
  a.emit("lea", eax, memory({ base: esp }));
  a.emit("jmp", back);
  return a.finish().text;
}
