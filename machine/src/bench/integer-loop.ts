/**
 * Speed of the interpreter on integer code: a loop that computes a CRC-32 bit by bit over a buffer, with calls, stack traffic,
 * byte and word accesses, and data-dependent branches. Counts come from the processor; host time is the caller's to measure,
 * because nothing in the machine reads the host's clock.
 */

import { EventClock } from "../clock.ts";
import type { Bus } from "../contract.ts";
import { Assembler } from "../i386/assembler.ts";
import { al, byte, cl, dword, eax, ebp, ebx, ecx, edi, edx, esi, esp } from "../i386/assembly.ts";
import { createMachineMemory } from "../i386/core.ts";
import { Pentium } from "../i386/pentium.ts";

const CODE = 0x1000;
const BUFFER = 0x10000;
const BUFFER_BYTES = 4096;
const STACK = 0x9000;
const RAM = 0x40000;

export interface IntegerLoop {
  /** Runs about this many cycles; returns the instructions retired in them. */
  run(cycles: number): number;
  /** CRC of the buffer from the last complete pass. */
  result(): number;
}

function assemble(): Uint8Array {
  const a = new Assembler();
  const again = a.newLabel();
  const nextByte = a.newLabel();
  const nextBit = a.newLabel();
  const noCarry = a.newLabel();
  const update = a.newLabel();

  a.place(again);
  a.emit("mov", esi, BUFFER);
  a.emit("mov", edi, BUFFER_BYTES);
  a.emit("mov", ebx, -1);
  a.place(nextByte);
  a.emit("movzx", eax, byte({ base: esi }));
  a.emit("push", eax);
  a.emit("call", update);
  a.emit("add", esp, 4);
  a.emit("inc", esi);
  a.emit("dec", edi);
  a.emit("jne", nextByte);
  a.emit("not", ebx);
  a.emit("mov", dword({ displacement: BUFFER - 4 }), ebx);
  a.emit("jmp", again);

  a.place(update);
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  a.emit("xor", ebx, dword({ base: ebp, displacement: 8 }));
  a.emit("mov", ecx, 8);
  a.place(nextBit);
  a.emit("mov", edx, ebx);
  a.emit("shr", edx, 1);
  a.emit("test", ebx, 1);
  a.emit("je", noCarry);
  a.emit("xor", edx, 0xedb88320 | 0);
  a.place(noCarry);
  a.emit("mov", ebx, edx);
  a.emit("dec", ecx);
  a.emit("jne", nextBit);
  a.emit("mov", al, cl);
  a.emit("pop", ebp);
  a.emit("ret");
  return a.finish().text;
}

/** A machine of its own, with the loop loaded and ready. */
export function createIntegerLoop(jit: "on" | "off" = "off"): IntegerLoop {
  const memory = createMachineMemory(RAM);
  const bytes = memory.ram;
  bytes.set(assemble(), CODE);
  for (let i = 0; i < BUFFER_BYTES; i++) bytes[BUFFER + i] = (i * 73) >> 2;
  const bus: Bus = {
    memory,
    readPhysical: () => 0xffff_ffff,
    writePhysical: () => {},
    readPort: () => 0xffff_ffff,
    writePort: () => {},
    acknowledgeInterrupt: () => 0,
  };
  const clock = new EventClock();
  const processor = new Pentium(bus, clock, { compiler: jit === "on" ? {} : null });
  processor.enterFlat(CODE);
  processor.registers[4] = STACK;
  return {
    run(cycles) {
      const before = processor.instructions;
      processor.run(clock.now + cycles);
      return processor.instructions - before;
    },
    result: () => new DataView(bytes.buffer, bytes.byteOffset).getUint32(BUFFER - 4, true),
  };
}
