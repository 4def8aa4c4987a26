/**
 * The same kernels on our machine, QEMU and Bochs: what they print must be the same. Each kernel prints registers of devices
 * and counts, never times, which differ by design.
 */
import { describe, expect, it } from "vitest";
import { Assembler } from "../i386/assembler.ts";
import { al, ax, bl, dword, dx, eax, ebx, edx, esi } from "../i386/assembly.ts";
import { buildElfKernel } from "./elf-kernel.ts";
import { KernelWriter, SERIAL_PORT } from "./kernel-writer.ts";
import { isAvailable, MACHINES, runKernel, skipReason } from "./run-kernel.ts";

interface KernelCase {
  readonly name: string;
  readonly write: (kernel: KernelWriter) => void;
  readonly serial: string;
  readonly exitStatus: number;
}

const CASES: readonly KernelCase[] = [
  {
    name: "prints on the serial port and ends with a value",
    write(kernel) {
      kernel.print("hello, world\n");
      kernel.endWith(0x2a);
    },
    serial: "hello, world\n",
    exitStatus: 0x55,
  },
  {
    name: "counts timer interrupts through the interrupt controller",
    write(kernel) {
      const { a } = kernel;
      const ticks = kernel.variable();
      const inService = kernel.variable();
      kernel.gate(0x20, "tick");
      kernel.openInterrupts([0]);
      kernel.outByte(0x43, 0x34); // counter 0, mode 2
      kernel.outByte(0x40, 0xa9); // 1193: 1 kHz
      kernel.outByte(0x40, 0x04);
      const wait = a.newLabel();
      a.place(wait);
      a.emit("sti");
      a.emit("hlt");
      a.emit("cli");
      a.emit("cmp", dword({ displacement: ticks }), 20);
      a.emit("jb", wait);
      a.emit("mov", eax, dword({ displacement: ticks }));
      kernel.report("ticks");
      a.emit("mov", eax, dword({ displacement: inService }));
      kernel.report("in service during the handler");
      kernel.outByte(0x20, 0x0b);
      kernel.inByte(0x20);
      kernel.report("in service after it");
      kernel.inByte(0x21);
      kernel.report("mask");
      kernel.endWith(0);

      a.label("tick");
      a.emit("push", eax);
      a.emit("push", edx);
      a.emit("inc", dword({ displacement: ticks }));
      kernel.outByte(0x20, 0x0b);
      kernel.inByte(0x20);
      a.emit("mov", dword({ displacement: inService }), eax);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", eax);
      a.emit("iretd");
    },
    serial: [
      "ticks=00000014",
      "in service during the handler=00000001",
      "in service after it=00000000",
      "mask=000000fe",
      "",
    ].join("\n"),
    exitStatus: 1,
  },
  {
    name: "sends to itself in loopback, with receive interrupts",
    write(kernel) {
      const { a } = kernel;
      const received = kernel.variable();
      const identifications = kernel.variable();
      kernel.gate(0x24, "serial");
      kernel.openInterrupts([4]);
      kernel.outByte(SERIAL_PORT + 4, 0x1b); // loop, OUT2, RTS, DTR
      kernel.inByte(SERIAL_PORT + 6);
      a.emit("and", eax, 0xf0);
      a.emit("push", eax);
      kernel.outByte(SERIAL_PORT + 1, 0x01);
      for (const byte of [0x12, 0x34, 0x56]) {
        kernel.outByte(SERIAL_PORT, byte);
        const wait = a.newLabel();
        a.emit("mov", ebx, dword({ displacement: received }));
        a.place(wait);
        a.emit("sti");
        a.emit("hlt");
        a.emit("cli");
        a.emit("cmp", ebx, dword({ displacement: received }));
        a.emit("jz", wait);
      }
      kernel.outByte(SERIAL_PORT + 1, 0x00);
      kernel.outByte(SERIAL_PORT + 4, 0x0b);
      a.emit("pop", eax);
      kernel.report("modem status");
      a.emit("mov", eax, dword({ displacement: received }));
      kernel.report("received");
      a.emit("mov", eax, dword({ displacement: identifications }));
      kernel.report("identifications");
      kernel.endWith(3);

      a.label("serial");
      a.emit("push", eax);
      a.emit("push", edx);
      kernel.inByte(SERIAL_PORT + 2);
      a.emit("and", eax, 0xf7); // QEMU's time-out runs on the host's clock: data and time-out count as one
      a.emit("shl", dword({ displacement: identifications }), 8);
      a.emit("or", dword({ displacement: identifications }), eax);
      kernel.inByte(SERIAL_PORT);
      a.emit("shl", dword({ displacement: received }), 8);
      a.emit("or", dword({ displacement: received }), eax);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", eax);
      a.emit("iretd");
    },
    serial: "modem status=000000b0\nreceived=00123456\nidentifications=00c4c4c4\n",
    exitStatus: 7,
  },
  {
    name: "interrupts when the transmitter is empty",
    write(kernel) {
      const { a } = kernel;
      const position = kernel.variable();
      kernel.gate(0x24, "transmit");
      kernel.openInterrupts([4]);
      kernel.outByte(SERIAL_PORT + 1, 0x02);
      const wait = a.newLabel();
      a.place(wait);
      a.emit("sti");
      a.emit("hlt");
      a.emit("cli");
      a.emit("cmp", dword({ displacement: position }), 26);
      a.emit("jb", wait);
      kernel.outByte(SERIAL_PORT + 1, 0x00);
      kernel.print("\n");
      kernel.endWith(0);

      // One letter an interrupt; the last one leaves the interrupt unanswered, which reading the cause has acknowledged.
      a.label("transmit");
      a.emit("push", eax);
      a.emit("push", ebx);
      a.emit("push", edx);
      kernel.inByte(SERIAL_PORT + 2);
      const done = a.newLabel();
      a.emit("mov", ebx, dword({ displacement: position }));
      a.emit("cmp", ebx, 26);
      a.emit("jnb", done);
      a.emit("inc", dword({ displacement: position }));
      a.emit("lea", eax, dword({ base: ebx, displacement: 0x61 }));
      a.emit("mov", dx, SERIAL_PORT);
      a.emit("out", dx, al);
      a.place(done);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", ebx);
      a.emit("pop", eax);
      a.emit("iretd");
    },
    serial: "abcdefghijklmnopqrstuvwxyz\n",
    exitStatus: 1,
  },
  {
    name: "finds the chip set on the PCI bus",
    write(kernel) {
      const { a } = kernel;
      for (const [register, label] of [
        [0x80000000, "host bridge"],
        [0x80000800, "ISA bridge"],
        [0x8000f800, "empty slot"],
        [0x00000000, "disabled"],
      ] as const) {
        a.emit("mov", eax, register);
        a.emit("mov", dx, 0xcf8);
        a.emit("out", dx, eax);
        a.emit("mov", dx, 0xcfc);
        a.emit("in", eax, dx);
        kernel.report(label);
      }
      for (const [register, label] of [
        [0x80000008, "host bridge class"],
        [0x80000808, "ISA bridge class"],
      ] as const) {
        a.emit("mov", eax, register);
        a.emit("mov", dx, 0xcf8);
        a.emit("out", dx, eax);
        a.emit("mov", dx, 0xcfe);
        a.emit("xor", eax, eax);
        a.emit("in", ax, dx);
        kernel.report(label);
      }
      kernel.endWith(0);
    },
    serial: [
      "host bridge=12378086",
      "ISA bridge=70008086",
      "empty slot=ffffffff",
      "disabled=ffffffff",
      "host bridge class=00000600",
      "ISA bridge class=00000601",
      "",
    ].join("\n"),
    exitStatus: 1,
  },
  {
    name: "runs timer counter 2 from port 0x61",
    write(kernel) {
      const { a } = kernel;
      kernel.outByte(0x61, 0x00);
      kernel.outByte(0x43, 0xb0); // counter 2, mode 0
      kernel.outByte(0x42, 0x00);
      kernel.outByte(0x42, 0x08);
      kernel.inByte(0x61);
      a.emit("and", eax, 0x21);
      kernel.report("before");
      kernel.outByte(0x61, 0x01);
      const wait = a.newLabel();
      a.place(wait);
      kernel.inByte(0x61);
      a.emit("test", al, 0x20);
      a.emit("jz", wait);
      a.emit("and", eax, 0x21);
      kernel.report("after");
      kernel.outByte(0x43, 0xe8); // read back the status
      kernel.inByte(0x42);
      a.emit("and", eax, 0xbf);
      kernel.report("status");
      kernel.endWith(0);
    },
    serial: "before=00000000\nafter=00000021\nstatus=000000b0\n",
    exitStatus: 1,
  },
  {
    name: "serves the slave's interrupts, nested in priority",
    write(kernel) {
      const { a } = kernel;
      const order = kernel.variable();
      kernel.gate(0x20, "timer");
      kernel.gate(0x28, "clock");
      kernel.openInterrupts([0, 2, 8]);
      // The real-time clock's periodic interrupt at 1024 Hz, its old causes acknowledged.
      for (const [register, value] of [
        [0x0a, 0x26],
        [0x0b, 0x42],
      ] as const) {
        kernel.outByte(0x70, register);
        kernel.outByte(0x71, value);
      }
      kernel.outByte(0x70, 0x0c);
      kernel.inByte(0x71);
      kernel.sleepWhileZero(order);
      a.emit("mov", eax, dword({ displacement: order }));
      kernel.report("order");
      kernel.endWith(0);

      // The clock's handler starts a short timer and lets it interrupt: line 0 stands above the cascade.
      a.label("clock");
      a.emit("push", eax);
      a.emit("push", edx);
      kernel.outByte(0x70, 0x0c);
      kernel.inByte(0x71);
      kernel.outByte(0xa0, 0x0b);
      kernel.inByte(0xa0);
      a.emit("mov", bl, al);
      kernel.outByte(0x43, 0x30); // mode 0: once
      kernel.outByte(0x40, 0x40);
      kernel.outByte(0x40, 0x00);
      a.emit("xor", esi, esi);
      a.emit("sti");
      const nested = a.newLabel();
      a.place(nested);
      a.emit("test", esi, esi);
      a.emit("jz", nested);
      a.emit("cli");
      a.emit("movzx", eax, bl);
      a.emit("shl", eax, 16);
      a.emit("or", eax, esi);
      a.emit("mov", dword({ displacement: order }), eax);
      kernel.outByte(0x70, 0x0b); // silence it
      kernel.outByte(0x71, 0x02);
      kernel.outByte(0xa0, 0x20);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", eax);
      a.emit("iretd");

      a.label("timer");
      a.emit("push", eax);
      a.emit("push", edx);
      kernel.outByte(0x20, 0x0b);
      kernel.inByte(0x20);
      a.emit("mov", esi, eax);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", eax);
      a.emit("iretd");
    },
    serial: "order=00010005\n",
    exitStatus: 1,
  },
  {
    name: "is woken by the clock's alarm",
    write(kernel) {
      const { a } = kernel;
      const causes = kernel.variable();
      kernel.gate(0x28, "alarm");
      kernel.openInterrupts([2, 8]);
      const clock = (register: number, value: number) => {
        kernel.outByte(0x70, register);
        kernel.outByte(0x71, value);
      };
      for (const register of [1, 3, 5]) clock(register, 0xff);
      kernel.outByte(0x70, 0x0c);
      kernel.inByte(0x71);
      clock(0x0b, 0x22);
      kernel.sleepWhileZero(causes);
      clock(0x0b, 0x02);
      a.emit("mov", eax, dword({ displacement: causes }));
      kernel.report("causes");
      kernel.endWith(0);

      a.label("alarm");
      a.emit("push", eax);
      a.emit("push", edx);
      kernel.outByte(0x70, 0x0c);
      kernel.inByte(0x71);
      a.emit("and", eax, 0xa0); // QEMU notes the update too
      a.emit("or", dword({ displacement: causes }), eax);
      kernel.outByte(0xa0, 0x20);
      kernel.outByte(0x20, 0x20);
      a.emit("pop", edx);
      a.emit("pop", eax);
      a.emit("iretd");
    },
    serial: "causes=000000a0\n",
    exitStatus: 1,
  },
  {
    name: "gets the multiboot magic and an information structure",
    write(kernel) {
      const { a } = kernel;
      a.emit("pop", ebx);
      a.emit("pop", eax);
      a.emit("push", ebx);
      kernel.report("magic");
      a.emit("pop", ebx);
      a.emit("mov", eax, dword({ base: ebx }));
      a.emit("and", eax, 0x4d); // memory, command line, modules, map
      kernel.report("flags");
      a.emit("mov", eax, dword({ base: ebx, displacement: 4 }));
      kernel.report("lower");
      a.emit("mov", eax, dword({ base: ebx, displacement: 20 }));
      kernel.report("modules");
      a.emit("mov", ebx, dword({ base: ebx, displacement: 24 }));
      a.emit("mov", eax, dword({ base: ebx }));
      a.emit("and", eax, 0xfff);
      kernel.report("offset in page");
      a.emit("mov", eax, dword({ base: ebx, displacement: 4 }));
      a.emit("sub", eax, dword({ base: ebx }));
      kernel.report("size");
      a.emit("mov", ebx, dword({ base: ebx }));
      a.emit("mov", eax, dword({ base: ebx }));
      kernel.report("first word");
      kernel.endWith(0);
    },
    serial: [
      "magic=2badb002",
      "flags=0000004d",
      "lower=0000027f",
      "modules=00000001",
      "offset in page=00000000",
      "size=00000005",
      "first word=44332211",
      "",
    ].join("\n"),
    exitStatus: 1,
  },
];

describe.each(MACHINES)("kernels on %s", (machine) => {
  for (const kernelCase of CASES) {
    it.skipIf(!isAvailable(machine))(`${kernelCase.name}${skipReason(machine)}`, async () => {
      const kernel = new KernelWriter();
      kernelCase.write(kernel);
      const run = await runKernel(machine, kernel.finish(), {
        commandLine: "test",
        modules: [{ commandLine: "module", bytes: Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55) }],
      });
      expect(run.serial).toBe(kernelCase.serial);
      expect(run.exitStatus).toBe(kernelCase.exitStatus);
    });
  }
});

describe.each(["ours", "qemu"] as const)("entry point on %s", (machine) => {
  it.skipIf(!isAvailable(machine))(`translates a virtual one to physical${skipReason(machine)}`, async () => {
    const a = new Assembler();
    a.label("start");
    a.emit("mov", dx, 0xf4);
    a.emit("mov", eax, 0x11);
    a.emit("out", dx, eax);
    a.emit("hlt");
    const elf = buildElfKernel(a.finish(), { entry: "start", virtualBase: 0xc0100000 });
    expect((await runKernel(machine, elf)).exitStatus).toBe(0x23);
  });
});
