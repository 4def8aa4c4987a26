/** A system call with the stack pointer in the kernel's half. */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { eax, ebp, esp } from "@rialto/machine/i386/assembly.ts";

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
}
