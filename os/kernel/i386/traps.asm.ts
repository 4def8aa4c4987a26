/**
 * Entry and exit of every ring, for each of the trap designs of §7.4 (design.ts).
 *
 * A thread's record holds its whole context while a first-level handler runs, so a context switch there is nothing but another value
 * of `current`. Handlers run on the processor's first-level stack.
 *
 *   thread record / frame (words): edi esi ebp – ebx edx ecx eax | es ds | vector error | eip cs eflags esp ss
 *   offsets                        0                        28    32 36   40     44      48  52 56     60  64   end 68
 *
 * ring1: a trap to ring 0 changes the stack, and pushes its frame straight into the current thread's record, whose end TSS.ESP0 names.
 * ring0, taskgate: thread-level kernel code is at ring 0 too, so a trap there pushes its frame on the thread's own stack (one at ring
 * 3 on the spare kernel stack), and entry code copies it into the record. Whether first-level code was interrupted is told by ESP.
 * taskgate: page faults and device interrupts come through task gates (tasks.ts), whose tasks start at the end of this file.
 *
 * A trap taken in first-level code (interrupts while idle, `wake` from an interrupt handler) has its frame on the first-level stack,
 * without esp and ss. Interrupts are off at first level but for the one HLT of `idleWait` and while a page is brought in (memory/refill.ts).
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
  type Label,
  memory,
  ss,
  symbol,
} from "@rialto/machine/i386/assembly.ts";

const VECTORS = 0x34;
const SYSTEM_CALL = 0x30;
const SERVER_RETURN = 0x32;
/** From kernel level to kernel level. */
const HAND_OFF = 0x33;
/** Exceptions that push an error code (Intel, Pentium Processor Family Developer's Manual, volume 3, 14.9). */
const WITH_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17];
const USER_CODE = 0x2b;
const USER_DATA = 0x33;
const USER_FLAGS = 0x1202;

const CURRENT = symbol("global:os/kernel/threads/scheduler/current");
/** Where the first-level stacks begin and end; the first-level handlers of all vectors start at the end. */
const STACKS_BOTTOM = symbol("global:os/kernel/i386/processor/firstLevelStacks");
const STACKS_TOP = symbol("global:os/kernel/i386/processor/firstLevelStack");
/** Words of a frame whose trap did not change the ring, and offsets of fields. */
const SAME_RING_WORDS = 15;
const CS = 52;
const ESP = 60;

/** The stack segment that the processor has loaded is the kernel's data segment of the design in use. */
function loadKernelData(a: Assembler): void {
  a.emit("mov", ecx, ss);
  a.emit("mov", ds, ecx);
  a.emit("mov", es, ecx);
}

/** Restores what the stubs pushed and returns from the trap; ESP is at a frame. */
function restoreFrame(a: Assembler): void {
  a.emit("popad");
  a.emit("pop", es);
  a.emit("pop", ds);
  a.emit("add", esp, 8);
  a.emit("iretd");
}

/** What the designs do differently on the way into a first-level handler and out of it. */
interface Design {
  /** Symbols of the stubs, and of the function that returns the address of their table. */
  readonly stubs: string;
  readonly table: string;
  /** Symbol of the way back to the thread `current`. */
  readonly resume: string;
  /** With the frame complete and ESP at it: goes to `nested` if first-level code was interrupted. */
  distinguish(a: Assembler, nested: Label): void;
  /** Else pushes the thread's record on the first-level stack. */
  enter(a: Assembler): void;
  leave(a: Assembler): void;
}

const RING1: Design = {
  stubs: "firstLevelStubs",
  table: "trapStubTable",
  resume: "resumeCurrent",
  distinguish(a, nested) {
    a.emit("test", byte({ base: esp, displacement: CS }), 3);
    a.emit("jz", nested);
  },
  enter(a) {
    a.emit("mov", eax, esp);
    a.emit("mov", esp, dword({ displacement: STACKS_TOP }));
    a.emit("push", eax);
  },
  leave(a) {
    a.emit("mov", esp, dword({ displacement: CURRENT }));
    restoreFrame(a);
  },
};

const RING0: Design = {
  stubs: "ring0Stubs",
  table: "ring0StubTable",
  resume: "resumeCurrentAtRing0",
  distinguish(a, nested) {
    const threadLevel = a.newLabel();
    a.emit("cmp", esp, dword({ displacement: STACKS_BOTTOM }));
    a.emit("jbe", threadLevel);
    a.emit("cmp", esp, dword({ displacement: STACKS_TOP }));
    a.emit("jbe", nested);
    a.place(threadLevel);
  },
  enter(a) {
    const sameRing = a.newLabel();
    const copied = a.newLabel();
    a.emit("mov", esi, esp);
    a.emit("mov", edi, dword({ displacement: CURRENT }));
    a.emit("mov", edx, edi);
    a.emit("mov", ecx, SAME_RING_WORDS);
    a.emitPrefixed("rep", "movsd");
    a.emit("test", byte({ base: edx, displacement: CS }), 3);
    a.emit("jz", sameRing);
    a.emit("movsd");
    a.emit("movsd");
    a.emit("jmp", copied);
    a.place(sameRing);
    a.emit("mov", dword({ base: edi }), esi);
    a.emit("mov", ecx, ss);
    a.emit("mov", dword({ base: edi, displacement: 4 }), ecx);
    a.place(copied);
    a.emit("mov", esp, dword({ displacement: STACKS_TOP }));
    a.emit("push", edx);
  },
  leave(a) {
    const user = a.newLabel();
    a.emit("mov", ebx, dword({ displacement: CURRENT }));
    a.emit("test", byte({ base: ebx, displacement: CS }), 3);
    a.emit("jnz", user);
    // An IRET within a ring takes its three words from the thread's stack, below its pointer.
    a.emit("mov", edi, dword({ base: ebx, displacement: ESP }));
    a.emit("sub", edi, 12);
    a.emit("mov", dword({ base: ebx, displacement: ESP }), edi);
    a.emit("lea", esi, memory({ base: ebx, displacement: 48 }));
    for (let word = 0; word < 3; word++) a.emit("movsd");
    a.emit("mov", esp, ebx);
    a.emit("popad");
    a.emit("pop", es);
    a.emit("pop", ds);
    a.emit("mov", esp, dword({ base: esp, displacement: ESP - 40 }));
    a.emit("iretd");
    a.place(user);
    a.emit("mov", esp, ebx);
    restoreFrame(a);
  },
};

export function assemble(a: Assembler): void {
  for (const design of [RING1, RING0]) firstLevel(a, design);
  a.label("idleWait");
  a.emit("sti");
  a.emit("hlt");
  a.emit("cli");
  a.emit("ret");
  threadLevel(a);
  tasks(a);
  services(a);
}

/** Ring 0, interrupts off. */
function firstLevel(a: Assembler, design: Design): void {
  const common = a.newLabel();
  const nested = a.newLabel();
  const handOff = a.newLabel();
  const stubs = [];
  a.label(design.stubs);
  for (let vector = 0; vector < VECTORS; vector++) {
    if (vector === SYSTEM_CALL || vector === SERVER_RETURN || vector === HAND_OFF) {
      stubs.push(vector === HAND_OFF ? handOff : undefined);
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
  design.distinguish(a, nested);
  design.enter(a);
  a.emit("call", symbol("firstLevelTrap"));

  a.label(design.resume);
  design.leave(a);

  // Kernel level has the kernel's segments loaded already.
  a.place(handOff);
  a.label(`${design.stubs}HandOff`);
  a.emit("push", 0);
  a.emit("push", HAND_OFF);
  a.emit("push", ds);
  a.emit("push", es);
  a.emit("pushad");
  design.enter(a);
  a.emit("call", symbol("handOffTrap"));
  design.leave(a);

  a.place(nested);
  a.emit("push", esp);
  a.emit("call", symbol("nestedTrap"));
  a.emit("add", esp, 4);
  restoreFrame(a);

  a.align(4);
  a.label(`${design.stubs}Addresses`);
  for (let vector = 0; vector < VECTORS; vector++) {
    const stub = stubs[vector];
    if (stub) a.dword(stub);
    else a.dword(symbol(vector === SYSTEM_CALL ? "systemCallEntry" : "serverReturnEntry"));
  }
  a.label(design.table);
  a.emit("mov", eax, symbol(`${design.stubs}Addresses`));
  a.emit("ret");
}

/** Tasks of task gates: the registers of one stay in its task state, EBX being the vector. It starts again where its IRET ended. */
function tasks(a: Assembler): void {
  for (const [task, handler, errorCode] of [
    ["interruptTask", "taskInterrupt", false],
    ["faultTask", "taskFault", true],
  ] as const) {
    const again = a.newLabel();
    a.place(again);
    a.label(`${task}Body`);
    a.emit("push", ebx);
    a.emit("call", symbol(handler));
    a.emit("add", esp, errorCode ? 8 : 4);
    a.emit("iretd");
    a.emit("jmp", again);
    a.label(task);
    a.emit("mov", eax, symbol(`${task}Body`));
    a.emit("ret");
  }
}

/** Thread level: ring 1, or ring 0 in the other designs. */
function threadLevel(a: Assembler): void {
  // int 0x30: eax = method; the CPU has pushed ss, esp, eflags, cs, eip on the spare kernel stack.
  a.label("systemCallEntry");
  loadKernelData(a);
  a.emit("cld"); // the caller's flags are the caller's
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
  loadKernelData(a);
  a.emit("cld"); // the caller's flags are the caller's
  a.emit("push", eax);
  a.emit("call", symbol("serverReturn")); // does not return

  // Continuations of first-level traps on the thread's kernel stack; ESP is at a copy of the frame, without esp and ss
  // when the trap came from thread-level kernel code.
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

  // A kernel stack could not grow: ecx = the address, edx = the instruction, ebx = the vector; ESP is at the top of the stack again.
  a.label("stackOverflowEntry");
  a.emit("mov", eax, symbol("stackOverflowBody"));
  a.emit("ret");
  a.label("stackOverflowBody");
  for (const argument of [ebx, edx, ecx]) a.emit("push", argument);
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
  // The others hold what the program may know.
  for (const register of [ebx, esi, edi, ebp]) a.emit("xor", register, register);
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

  // handOff(next, entry)
  a.label("handOff");
  a.emit("mov", ecx, dword({ base: esp, displacement: 4 }));
  a.emit("mov", edx, dword({ base: esp, displacement: 8 }));
  a.emit("int", HAND_OFF);
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
  a.emit("fnclex"); // an exception that an ended thread left pending would be raised by FRSTOR, here
  a.emit("frstor", memory({ base: eax }));
  a.emit("ret");
}
