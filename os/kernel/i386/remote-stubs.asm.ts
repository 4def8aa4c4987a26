/**
 * Calls between the kernel and objects that are not its own.
 *
 * Stub n of a `RemoteProxy`'s vtable: remoteInvoke(proxy, n, address of the caller's argument words), cdecl. All stubs have
 * the same size, so that the kernel makes the vtable from the address of the first.
 *
 * `guardedInvoke` calls a method as `invoke` does and leaves in `guard` where its frame is. `abandonInvoke` makes that call
 * return at once with a result of its own, dropping every frame in between: the way out of a module that faulted while it
 * served another program's thread. Only the thread that made the call may abandon it.
 */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dword, eax, ebp, ebx, ecx, edi, esi, esp, memory, symbol } from "@rialto/machine/i386/assembly.ts";

const METHODS = 64;
const STUB_SIZE = 16;

export function assemble(a: Assembler): void {
  const common = a.newLabel();
  a.align(STUB_SIZE);
  a.label("remoteStubs");
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
  a.emit("call", symbol("remoteInvoke"));
  a.emit("add", esp, 12);
  a.emit("ret");

  // remoteStubAddress(): address of stub 0.
  a.label("remoteStubAddress");
  a.emit("mov", eax, symbol("remoteStubs"));
  a.emit("ret");

  // guardedInvoke(code, words, count, guard)
  a.label("guardedInvoke");
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  a.emit("push", ebx);
  a.emit("push", esi);
  a.emit("push", edi);
  a.emit("mov", eax, dword({ base: ebp, displacement: 20 }));
  a.emit("mov", ecx, dword({ base: ebp, displacement: 16 }));
  a.emit("mov", esi, dword({ base: ebp, displacement: 12 }));
  a.emit("mov", dword({ base: eax }), ebp);
  a.emit("lea", eax, memory({ index: ecx, scale: 4, displacement: 0 }));
  a.emit("sub", esp, eax);
  a.emit("mov", edi, esp);
  a.emitPrefixed("rep", "movsd");
  a.emit("call", dword({ base: ebp, displacement: 8 }));
  a.label("leaveInvoke");
  a.emit("lea", esp, memory({ base: ebp, displacement: -12 }));
  a.emit("pop", edi);
  a.emit("pop", esi);
  a.emit("pop", ebx);
  a.emit("pop", ebp);
  a.emit("ret");

  // abandonInvoke(guard, result): does not return to its caller.
  a.label("abandonInvoke");
  a.emit("mov", ecx, dword({ base: esp, displacement: 4 }));
  a.emit("mov", eax, dword({ base: esp, displacement: 8 }));
  a.emit("mov", ebp, dword({ base: ecx }));
  a.emit("jmp", symbol("leaveInvoke"));
}
