/** A small interrupt-driven kernel for tests of determinism: timer, serial input and output. */
import { al, dword, eax, edx, symbol } from "../i386/assembly.ts";
import { KernelWriter, SERIAL_PORT } from "./kernel-writer.ts";

/** Echoes what comes in by interrupt, under a running timer, until a full stop; then ends with the timer's ticks. */
export function echoKernel(): Uint8Array {
  const kernel = new KernelWriter();
  const { a } = kernel;
  const done = kernel.variable();
  const ticks = kernel.variable();
  kernel.gate(0x20, "tick");
  kernel.gate(0x24, "received");
  kernel.openInterrupts([0, 4]);
  kernel.outByte(0x43, 0x34);
  kernel.outByte(0x40, 0xa9);
  kernel.outByte(0x40, 0x04);
  kernel.outByte(SERIAL_PORT + 1, 0x01);
  kernel.sleepWhileZero(done);
  a.emit("mov", eax, dword({ displacement: ticks }));
  kernel.end();

  a.label("tick");
  a.emit("push", eax);
  a.emit("push", edx);
  a.emit("inc", dword({ displacement: ticks }));
  kernel.outByte(0x20, 0x20);
  a.emit("pop", edx);
  a.emit("pop", eax);
  a.emit("iretd");

  a.label("received");
  a.emit("push", eax);
  a.emit("push", edx);
  kernel.inByte(SERIAL_PORT);
  a.emit("call", symbol("printByte"));
  a.emit("cmp", al, ".".charCodeAt(0));
  const more = a.newLabel();
  a.emit("jnz", more);
  a.emit("inc", dword({ displacement: done }));
  a.place(more);
  kernel.outByte(0x20, 0x20);
  a.emit("pop", edx);
  a.emit("pop", eax);
  a.emit("iretd");
  return kernel.finish();
}
