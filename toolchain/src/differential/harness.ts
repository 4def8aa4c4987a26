/**
 * The two images that a batch of generated functions becomes: a bare multiboot kernel, and a static 32-bit Linux process.
 * Both set the floating-point unit up as the system does, run the module's initialiser and `runAll`, and hand the results out.
 */
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { al, dx, eax, ebx, ecx, edx, esi, esp, symbol } from "@rialto/machine/i386/assembly.ts";
import { assembledObject } from "../build/assembly.ts";
import type { CodeObject } from "../contract.ts";
import { linkImage } from "../link/image.ts";

/** 53-bit precision, round to nearest even, all exceptions masked: as the kernel starts every thread. */
const CONTROL_WORD = 0x027f;
const STACK_SIZE = 0x40000;
const DEBUG_EXIT_PORT = 0xf4;
const DEBUG_OUTPUT_PORT = 0xe9;
const LINUX_BASE = 0x08048000;
const BARE_BASE = 0x00100000;

function emitRun(a: Assembler, object: CodeObject): void {
  a.emit("fninit");
  a.emit("push", CONTROL_WORD);
  a.emit("fldcw", { kind: "memory", size: 2, base: esp });
  if (object.start !== undefined) a.emit("call", symbol(object.start));
  a.emit("call", symbol("runAll"));
}

/** Stops through isa-debug-exit; results also go out byte by byte on the debug port, for emulators that we cannot look into. */
export function bareKernel(object: CodeObject, resultSize: number): Uint8Array {
  const a = new Assembler();
  a.label("start");
  a.emit("cli");
  a.emit("mov", esp, symbol("kernelEnd", STACK_SIZE));
  a.emit("and", esp, -16);
  emitRun(a, object);
  a.emit("call", symbol("results"));
  a.emit("mov", esi, eax);
  a.emit("mov", ecx, resultSize);
  a.emit("mov", edx, DEBUG_OUTPUT_PORT);
  a.emit("cld");
  a.emitPrefixed("rep", "outsb");
  a.emit("xor", eax, eax);
  a.emit("mov", edx, DEBUG_EXIT_PORT);
  a.emit("out", dx, al);
  a.label("stopped");
  a.emit("hlt");
  a.emit("jmp", symbol("stopped"));
  const entry = assembledObject("start.asm.ts", a.finish());
  return linkImage({
    name: "differential",
    kind: "kernel",
    base: BARE_BASE,
    limit: 0x1000000,
    physicalOffset: 0,
    objects: [object, entry],
    libraries: new Map(),
  }).bytes;
}

/** Writes the results to standard output and exits. */
export function linuxProcess(object: CodeObject, resultSize: number): Uint8Array {
  const write = 4;
  const exit = 1;
  const a = new Assembler();
  a.label("start");
  a.emit("and", esp, -16);
  emitRun(a, object);
  a.emit("call", symbol("results"));
  a.emit("mov", ecx, eax);
  a.emit("mov", edx, resultSize);
  const again = a.newLabel();
  const done = a.newLabel();
  a.place(again);
  a.emit("mov", ebx, 1);
  a.emit("mov", eax, write);
  a.emit("int", 0x80);
  a.emit("test", eax, eax);
  a.emit("jle", done);
  a.emit("add", ecx, eax);
  a.emit("sub", edx, eax);
  a.emit("jnz", again);
  a.place(done);
  a.emit("xor", ebx, ebx);
  a.emit("mov", eax, exit);
  a.emit("int", 0x80);
  return linkImage({
    name: "differential",
    kind: "kernel",
    base: LINUX_BASE,
    limit: 0x10000000,
    physicalOffset: 0,
    objects: [object, assembledObject("start.asm.ts", a.finish())],
    libraries: new Map(),
  }).bytes;
}
