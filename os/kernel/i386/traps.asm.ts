/**
 * Entry and exit of every ring.
 *
 * A trap or interrupt to ring 0 pushes its frame straight into the current thread's record, whose end TSS.ESP0 names; the
 * stub then moves to the processor's ring 0 stack. So the record always holds the thread's whole context, and a context
 * switch at ring 0 is nothing but another value of `current`.
 *
 *   thread record / frame (words): edi esi ebp – ebx edx ecx eax | es ds | vector error | eip cs eflags esp ss
 *   offsets                        0                        28    32 36   40     44      48  52 56     60  64   end 68
 *
 * A trap taken at ring 0 itself (interrupts while idle, `wake` from an interrupt handler) has its frame on the ring 0 stack, without esp and ss.
 * Interrupts are off at ring 0 but for the one HLT of `idleWait`.
 */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import {
  ax,
  byte,
  cr0,
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
  memory,
  symbol,
} from "@rialto/machine/i386/assembly.ts";

const VECTORS = 0x33;
const SYSTEM_CALL = 0x30;
const SERVER_RETURN = 0x32;
/** Exceptions that push an error code (Intel, Pentium Processor Family Developer's Manual, volume 3, 14.9). */
const WITH_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17];
const RING1_DATA = 0x21;
const USER_CODE = 0x2b;
const USER_DATA = 0x33;
const USER_FLAGS = 0x1202;

const CURRENT = symbol("global:os/kernel/threads/scheduler/current");
const RING0_STACK = symbol("global:os/kernel/i386/processor/firstLevelStack");

function loadKernelData(a: Assembler): void {
  a.emit("mov", eax, RING1_DATA);
  a.emit("mov", ds, eax);
  a.emit("mov", es, eax);
}

/** Restores what the stubs pushed and returns from the trap; ESP is at a frame. */
function restoreFrame(a: Assembler): void {
  a.emit("popad");
  a.emit("pop", es);
  a.emit("pop", ds);
  a.emit("add", esp, 8);
  a.emit("iretd");
}

export function assemble(a: Assembler): void {
  firstLevel(a);
  threadLevel(a);
  services(a);
}

/** Ring 0. */
function firstLevel(a: Assembler): void {
  const common = a.newLabel();
  const nested = a.newLabel();
  const stubs = [];
  a.label("firstLevelStubs");
  for (let vector = 0; vector < VECTORS; vector++) {
    if (vector === SYSTEM_CALL || vector === SERVER_RETURN) {
      stubs.push(undefined);
      continue;
    }
    const stub = a.newLabel();
    a.place(stub);
    stubs.push(stub);
    if (!WITH_ERROR_CODE.includes(vector)) a.emit("push", 0);
    a.emit("push", vector);
    a.emit("jmp", common);
  }

  a.place(common);
  a.emit("push", ds);
  a.emit("push", es);
  a.emit("pushad");
  loadKernelData(a);
  a.emit("cld");
  a.emit("test", byte({ base: esp, displacement: 52 }), 3); // ring of the interrupted code
  a.emit("jz", nested);
  a.emit("mov", eax, esp);
  a.emit("mov", esp, dword({ displacement: RING0_STACK }));
  a.emit("push", eax);
  a.emit("call", symbol("firstLevelTrap"));

  a.label("resumeCurrent");
  a.emit("mov", esp, dword({ displacement: CURRENT }));
  restoreFrame(a);

  a.place(nested);
  a.emit("push", esp);
  a.emit("call", symbol("nestedTrap"));
  a.emit("add", esp, 4);
  restoreFrame(a);

  a.align(4);
  a.label("trapStubs");
  for (let vector = 0; vector < VECTORS; vector++) {
    const stub = stubs[vector];
    if (stub) a.dword(stub);
    else a.dword(symbol(vector === SYSTEM_CALL ? "systemCallEntry" : "serverReturnEntry"));
  }
  a.label("trapStubTable");
  a.emit("mov", eax, symbol("trapStubs"));
  a.emit("ret");

  a.label("idleWait");
  a.emit("sti");
  a.emit("hlt");
  a.emit("cli");
  a.emit("ret");
}

/** Ring 1. */
function threadLevel(a: Assembler): void {
  // int 0x30: eax = method; the CPU has pushed ss, esp, eflags, cs, eip on the spare kernel stack.
  a.label("systemCallEntry");
  a.emit("mov", ecx, RING1_DATA);
  a.emit("mov", ds, ecx);
  a.emit("mov", es, ecx);
  a.emit("push", dword({ base: esp, displacement: 12 }));
  a.emit("push", eax);
  a.emit("call", symbol("systemCall"));
  a.emit("add", esp, 8);
  a.emit("mov", ecx, USER_DATA);
  a.emit("mov", ds, ecx);
  a.emit("mov", es, ecx);
  a.emit("iretd");

  // int 0x32: eax = result of the method that a server thread ran at ring 3.
  a.label("serverReturnEntry");
  a.emit("mov", ecx, RING1_DATA);
  a.emit("mov", ds, ecx);
  a.emit("mov", es, ecx);
  a.emit("push", eax);
  a.emit("call", symbol("serverReturn")); // does not return

  // Continuations of first-level traps on the thread's kernel stack; ESP is at a copy of the frame, without esp and ss
  // when the trap came from ring 1.
  for (const [entry, handler] of [
    ["memoryFaultEntry", "memoryFault"],
    ["exceptionEntry", "programException"],
    ["exitEntry", "exitFromTrap"],
    ["overstayEntry", "overstayed"],
  ] as const) {
    const body = `${entry}Body`;
    a.label(entry);
    a.emit("mov", eax, symbol(body));
    a.emit("ret");
    a.label(body);
    a.emit("push", esp);
    a.emit("call", symbol(handler));
    a.emit("add", esp, 4);
    restoreFrame(a);
  }

  // A kernel stack could not grow: ecx = the address; ESP is at the top of the stack again.
  a.label("stackOverflowEntry");
  a.emit("mov", eax, symbol("stackOverflowBody"));
  a.emit("ret");
  a.label("stackOverflowBody");
  a.emit("push", ecx);
  a.emit("call", symbol("stackOverflow")); // does not return

  // Where the entry function of a thread in the kernel returns to.
  a.label("kernelThreadExit");
  a.emit("mov", eax, symbol("kernelThreadExitBody"));
  a.emit("ret");
  a.label("kernelThreadExitBody");
  a.emit("push", eax);
  a.emit("call", symbol("exitThread")); // does not return

  // enterUser(entry, stack)
  a.label("enterUser");
  a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
  a.emit("mov", edx, dword({ base: esp, displacement: 8 }));
  a.emit("mov", ecx, USER_DATA);
  a.emit("push", ecx);
  a.emit("push", edx);
  a.emit("push", USER_FLAGS);
  a.emit("push", USER_CODE);
  a.emit("push", eax);
  a.emit("mov", ds, ecx);
  a.emit("mov", es, ecx);
  for (const register of [eax, ebx, ecx, edx, esi, edi, ebp]) a.emit("xor", register, register);
  a.emit("iretd");

  // privateTrap(operation, a, b, c)
  a.label("privateTrap");
  a.emit("push", ebx);
  a.emit("mov", eax, dword({ base: esp, displacement: 8 }));
  a.emit("mov", ecx, dword({ base: esp, displacement: 12 }));
  a.emit("mov", edx, dword({ base: esp, displacement: 16 }));
  a.emit("mov", ebx, dword({ base: esp, displacement: 20 }));
  a.emit("int", 0x31);
  a.emit("pop", ebx);
  a.emit("ret");

  // invoke(code, words, count): calls a cdecl function with a copy of the words.
  a.label("invoke");
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  a.emit("push", esi);
  a.emit("push", edi);
  a.emit("mov", ecx, dword({ base: ebp, displacement: 16 }));
  a.emit("mov", esi, dword({ base: ebp, displacement: 12 }));
  a.emit("lea", eax, memory({ index: ecx, scale: 4, displacement: 0 }));
  a.emit("sub", esp, eax);
  a.emit("mov", edi, esp);
  a.emitPrefixed("rep", "movsd");
  a.emit("call", dword({ base: ebp, displacement: 8 }));
  a.emit("lea", esp, memory({ base: ebp, displacement: -8 }));
  a.emit("pop", edi);
  a.emit("pop", esi);
  a.emit("pop", ebp);
  a.emit("ret");
}

/** Small privileged operations, cdecl, ring 0. */
function services(a: Assembler): void {
  const argument = dword({ base: esp, displacement: 4 });
  a.label("loadInterruptTable");
  a.emit("mov", eax, argument);
  a.emit("lidt", memory({ base: eax }));
  a.emit("ret");

  a.label("loadTaskRegister");
  a.emit("mov", eax, argument);
  a.emit("ltr", ax);
  a.emit("ret");

  a.label("setTaskSwitched");
  a.emit("mov", eax, cr0);
  a.emit("or", eax, 8);
  a.emit("mov", cr0, eax);
  a.emit("ret");

  a.label("clearTaskSwitched");
  a.emit("clts");
  a.emit("ret");

  a.label("kernelEndAddress");
  a.emit("mov", eax, symbol("kernelEnd"));
  a.emit("ret");

  // FSAVE area of 108 bytes.
  a.label("saveFloatingPoint");
  a.emit("mov", eax, argument);
  a.emit("fnsave", memory({ base: eax }));
  a.emit("ret");

  a.label("restoreFloatingPoint");
  a.emit("mov", eax, argument);
  a.emit("frstor", memory({ base: eax }));
  a.emit("ret");
}
