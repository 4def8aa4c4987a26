/**
 * Contents of the page that every process has at 0x3f000000 (calls/proxies.ts), as bytes of the image from which the
 * kernel copies them. All of it runs at ring 3 and at no other address, so its only absolute words are the vtable.
 *
 *   +0    64 stubs of 8 bytes: mov eax, n; int 0x30; ret
 *   +512  vtable: addresses of the stubs
 *   +2048 threadExit: where the entry function of a thread returns to
 *   +2064 serverReturn: where a method that a server thread runs returns to
 *   +2080 faultStub: an undefined instruction, where a call returns to that was given a bad pointer; then on to the caller
 */

import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { eax, ecx, symbol } from "@rialto/machine/i386/assembly.ts";

const PROXY_PAGE = 0x3f000000;
const METHODS = 64;
const STUB_SIZE = 8;
const THREAD_EXIT = 2048;
const EXIT_THREAD = 3;

export function assemble(a: Assembler): void {
  a.align(16);
  a.label("proxyPage");
  for (let method = 0; method < METHODS; method++) {
    a.emit("mov", eax, method);
    a.emit("int", 0x30);
    a.emit("ret");
  }
  for (let method = 0; method < METHODS; method++) a.dword(PROXY_PAGE + method * STUB_SIZE);
  for (let offset = METHODS * (STUB_SIZE + 4); offset < THREAD_EXIT; offset += 4) a.dword(0);
  a.emit("mov", ecx, eax);
  a.emit("mov", eax, EXIT_THREAD);
  a.emit("int", 0x31);
  a.align(16);
  a.emit("int", 0x32);
  a.align(16);
  a.emit("ud2");
  a.emit("ret");
  a.align(16);

  // proxyPageSource(): address of the bytes above.
  a.label("proxyPageSource");
  a.emit("mov", eax, symbol("proxyPage"));
  a.emit("ret");
}
