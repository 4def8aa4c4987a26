/**
 * From the multiboot loader to ring 0 of the kernel. The loader leaves flat segments and no paging; the kernel is linked at
 * virtual 0xa0100000 and lies at physical 0x00100000. Until paging is on, segments with base 0x60000000 make its virtual
 * addresses reach that memory (address arithmetic is modulo 2^32), so that compiled code can build the page directory.
 */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import {
  cr0,
  cr3,
  cr4,
  ds,
  eax,
  ebx,
  ecx,
  edi,
  es,
  esi,
  esp,
  far,
  fs,
  gs,
  memory,
  ss,
  symbol,
} from "@rialto/machine/i386/assembly.ts";

/** Kernel virtual minus physical. */
const WINDOW = 0xa0000000;
/** Bytes of stack until the ring 0 stack is in use. */
const BOOT_STACK = 1024;

export function assemble(a: Assembler): void {
  a.label("start");
  a.emit("cli");
  a.emit("cld");
  a.emit("mov", esi, eax); // the loader's magic number
  a.emit("lgdt", memory({ displacement: symbol("bootTablePointer", -WINDOW) }));
  a.emit("jmp", far(0x08, symbol("startUnpaged")));

  a.label("startUnpaged");
  a.emit("mov", eax, 0x10);
  for (const register of [ds, es, ss]) a.emit("mov", register, eax);
  a.emit("mov", esp, symbol("bootStackTop"));
  a.emit("push", ebx);
  a.emit("push", esi);
  a.emit("call", symbol("prepareBoot")); // (magic, information) → physical address of the page directory
  a.emit("mov", esi, eax);
  a.emit("call", symbol("descriptorTablePointer"));
  a.emit("mov", edi, eax);
  a.emit("mov", eax, cr4);
  a.emit("or", eax, 0x10); // PSE: 4 MB pages
  a.emit("mov", cr4, eax);
  a.emit("mov", cr3, esi);
  a.emit("mov", eax, 0x80010033); // PG, WP, NE, ET, MP, PE
  a.emit("mov", cr0, eax);
  a.emit("lgdt", memory({ base: edi }));
  a.emit("jmp", far(0x08, symbol("startPaged")));

  a.label("startPaged");
  a.emit("mov", eax, 0x10);
  for (const register of [ds, es, ss]) a.emit("mov", register, eax);
  a.emit("xor", ecx, ecx);
  for (const register of [fs, gs]) a.emit("mov", register, ecx);
  a.emit("call", symbol("firstLevelStackTop"));
  a.emit("mov", esp, eax);
  a.emit("fninit");
  a.emit("call", symbol("bootMain")); // does not return

  a.align(8);
  a.label("bootTable");
  for (const access of [0, 0x9a, 0x92]) {
    // Base 4 GB - WINDOW, a multiple of 16 MB, limit 4 GB; the null descriptor is zero.
    a.dword(access === 0 ? 0 : 0x0000ffff);
    a.dword(access === 0 ? 0 : 2 ** 32 - WINDOW + 0x00cf0000 + (access << 8));
  }
  a.label("bootTablePointer");
  a.word(0x17);
  a.dword(symbol("bootTable", -WINDOW));
  a.align(16);
  a.bytes(new Uint8Array(BOOT_STACK));
  a.label("bootStackTop");
}
