/** What no compiler would make: a system call with the stack pointer in the kernel's half; FS and GS. */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { ds, eax, ebp, ecx, edx, esp, fs, gs } from "@rialto/machine/i386/assembly.ts";

export function assemble(a: Assembler): void {
  a.label("badStackCall");
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  a.emit("mov", eax, 5);
  a.emit("mov", esp, 0x7ffffff0);
  a.emit("int", 0x30);
  a.emit("mov", esp, ebp);
  a.emit("pop", ebp);
  a.emit("push", eax); // the stack is good again: a failure code would have come back here
  a.emit("pop", eax);
  a.emit("ret");

  // loadSpareSegments(): FS and GS are DS.
  a.label("loadSpareSegments");
  a.emit("mov", eax, ds);
  a.emit("mov", fs, eax);
  a.emit("mov", gs, eax);
  a.emit("ret");

  // areSegmentsSpare(): 1 if FS and GS are null, or DS, or of an outer ring.
  a.label("areSegmentsSpare");
  a.emit("mov", ecx, ds);
  for (const register of [fs, gs]) {
    const good = a.newLabel();
    a.emit("mov", edx, register);
    a.emit("test", edx, edx);
    a.emit("je", good);
    a.emit("cmp", edx, ecx);
    a.emit("je", good);
    a.emit("and", edx, 3);
    a.emit("mov", eax, ecx);
    a.emit("and", eax, 3);
    a.emit("cmp", edx, eax);
    a.emit("ja", good);
    a.emit("xor", eax, eax);
    a.emit("ret");
    a.place(good);
  }
  a.emit("mov", eax, 1);
  a.emit("ret");
}
