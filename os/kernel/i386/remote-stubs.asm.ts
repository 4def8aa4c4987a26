/**
 * Calls between the kernel and objects that are not its own.
 *
 * Stub n of a `RemoteProxy`'s vtable: remoteInvoke(proxy, n, address of the caller's argument words), cdecl; of a `Door`'s, doorInvoke with
 * the same. All stubs have the same size, so that the kernel makes the vtable from the address of the first.
 *
 * `guardedInvoke` calls a method whose argument words are already in place, at the lowest address of the caller's stack in use
 * but for what the call of guardedInvoke itself pushed. What it needs afterwards it keeps in `guard`, not on the stack:
 *
 *   +0 ebp  +4 return address  +8 esp, 0 outside of a call  +12 ebx  +16 esi  +20 edi
 *
 * EBP points at `guard` during the call, so that to a debugger it looks like a frame. `abandonInvoke` makes the call return at
 * once with a result of its own, dropping every frame in between: the way out of a module that faulted while it served another
 * program's thread. Only the thread that made the call may abandon it.
 */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import {
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  esp,
  memory,
  symbol,
} from "@rialto/machine/i386/assembly.ts";

const METHODS = 64;
const STUB_SIZE = 16;

/** The stubs of one kind of object, and a function that returns the address of the first. */
function methodStubs(a: Assembler, first: string, invoke: string, address: string): void {
  const common = a.newLabel();
  a.align(STUB_SIZE);
  a.label(first);
  for (let method = 0; method < METHODS; method++) {
    a.emit("mov", eax, method);
    a.emit("jmp", common);
    a.align(STUB_SIZE);
  }
  a.place(common);
  a.emit("lea", ecx, memory({ base: esp, displacement: 4 }));
  a.emit("push", ecx);
  a.emit("push", eax);
  a.emit("push", dword({ base: ecx }));
  a.emit("call", symbol(invoke));
  a.emit("add", esp, 12);
  a.emit("ret");

  a.label(address);
  a.emit("mov", eax, symbol(first));
  a.emit("ret");
}

export function assemble(a: Assembler): void {
  methodStubs(a, "remoteStubs", "remoteInvoke", "remoteStubAddress");
  methodStubs(a, "doorStubs", "doorInvoke", "doorStubAddress");

  // guardedInvoke(code, words, guard)
  a.label("guardedInvoke");
  a.emit("mov", ecx, dword({ base: esp, displacement: 12 }));
  a.emit("mov", edx, dword({ base: esp }));
  a.emit("mov", eax, dword({ base: esp, displacement: 4 }));
  a.emit("mov", dword({ base: ecx }), ebp);
  a.emit("mov", dword({ base: ecx, displacement: 4 }), edx);
  a.emit("mov", edx, dword({ base: esp, displacement: 8 }));
  a.emit("mov", dword({ base: ecx, displacement: 8 }), esp);
  a.emit("mov", dword({ base: ecx, displacement: 12 }), ebx);
  a.emit("mov", dword({ base: ecx, displacement: 16 }), esi);
  a.emit("mov", dword({ base: ecx, displacement: 20 }), edi);
  a.emit("mov", ebp, ecx);
  a.emit("mov", esp, edx);
  a.emit("call", eax);
  a.label("leaveInvoke");
  // The method's frames have overwritten the return address below its arguments.
  a.emit("mov", ecx, dword({ base: ebp, displacement: 4 }));
  a.emit("mov", esp, dword({ base: ebp, displacement: 8 }));
  a.emit("mov", dword({ base: ebp, displacement: 8 }), 0);
  a.emit("mov", ebp, dword({ base: ebp }));
  a.emit("add", esp, 4);
  a.emit("jmp", ecx);

  // abandonInvoke(guard, result): does not return to its caller.
  a.label("abandonInvoke");
  a.emit("mov", ebp, dword({ base: esp, displacement: 4 }));
  a.emit("mov", eax, dword({ base: esp, displacement: 8 }));
  a.emit("mov", ebx, dword({ base: ebp, displacement: 12 }));
  a.emit("mov", esi, dword({ base: ebp, displacement: 16 }));
  a.emit("mov", edi, dword({ base: ebp, displacement: 20 }));
  a.emit("jmp", symbol("leaveInvoke"));
}
