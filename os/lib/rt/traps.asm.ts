/** The private traps of os/README.md, for programs at ring 3 and ring 1 alike. */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dword, eax, ebx, ecx, edx, esp } from "@rialto/machine/i386/assembly.ts";

export function assemble(a: Assembler): void {
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
}
