/**
 * Two kernels that talk Ethernet through an NE2000 on the PCI bus: one sends frames of given sizes and compares what comes back, the other
 * sends every frame back to its sender. Both work by interrupts, and the first sends again what stays unanswered.
 *
 *   0x210000  frame received (4 KB)     0x212000  frame to send (4 KB)
 */
import {
  al,
  ax,
  byte,
  cl,
  dword,
  dx,
  eax,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  type Operand,
  symbol,
  word,
} from "../i386/assembly.ts";
import { KernelWriter } from "./kernel-writer.ts";

const RECEIVED = 0x210000;
const TO_SEND = 0x212000;
/** An experimental EtherType. */
const TYPE = 0xb588;
const FIRST_PAGE = 0x46;
const END_PAGE = 0x60;
const TRANSMIT_PAGE = 0x40;
/** PCI configuration address of 00:03.0. */
const CARD = 0x8000_1800;
const LINE = 11;
/** Offsets in a frame: the sequence number, and whether it is the last. */
const SEQUENCE = 14;
const LAST = 15;
const PAYLOAD = 16;

class StationWriter extends KernelWriter {
  /** First port of the card. */
  readonly base = this.variable();
  /** Causes of interrupts since they were last taken. */
  readonly causes = this.variable();
  readonly interrupts = this.variable();
  readonly ticks = this.variable();
  /** Page of the ring where the next frame will be. */
  readonly next = this.variable();
  /** The card's address, six bytes. */
  readonly station = this.variable();
  readonly stationEnd = this.variable();
  readonly length = this.variable();

  /** EDX = a port of the card. */
  port(offset: number): void {
    this.a.emit("mov", edx, dword({ displacement: this.base }));
    if (offset !== 0) this.a.emit("add", edx, offset);
  }

  write(offset: number, value: number): void {
    this.port(offset);
    this.a.emit("mov", al, value);
    this.a.emit("out", dx, al);
  }

  /** Writes AL. */
  writeAl(offset: number): void {
    this.port(offset);
    this.a.emit("out", dx, al);
  }

  /** EAX = a register. */
  read(offset: number): void {
    this.port(offset);
    this.a.emit("xor", eax, eax);
    this.a.emit("in", al, dx);
  }

  /** Finds the card, says what it is, opens it for frames to its own address and to all. */
  openCard(): void {
    const { a } = this;
    for (const [register, label] of [
      [0x00, "card"],
      [0x08, "class"],
      [0x3c, "interrupt"],
    ] as const) {
      a.emit("mov", eax, (CARD + register) | 0);
      a.emit("mov", dx, 0xcf8);
      a.emit("out", dx, eax);
      a.emit("mov", dx, 0xcfc);
      a.emit("in", eax, dx);
      this.report(label);
    }
    a.emit("mov", eax, (CARD + 0x10) | 0);
    a.emit("mov", dx, 0xcf8);
    a.emit("out", dx, eax);
    a.emit("mov", dx, 0xcfc);
    a.emit("in", eax, dx);
    a.emit("and", eax, -4);
    a.emit("mov", dword({ displacement: this.base }), eax);
    this.read(0x1f);
    this.read(0x07);
    a.emit("and", eax, 0x80);
    this.report("reset");
    for (const [offset, value] of [
      [0x00, 0x21],
      [0x0e, 0x49], // words, FIFO threshold 8 bytes
      [0x0c, 0x20], // receive nothing yet
      [0x0d, 0x02],
      [0x01, FIRST_PAGE],
      [0x02, END_PAGE],
      [0x03, FIRST_PAGE],
      [0x07, 0xff],
      [0x0f, 0x00],
    ] as const)
      this.write(offset, value);
    // The address from the ROM, where each byte stands twice.
    this.#remote(0, 32, 0x0a);
    a.emit("mov", ecx, 6);
    a.emit("mov", edi, this.station);
    const nextByte = a.newLabel();
    a.place(nextByte);
    this.port(0x10);
    a.emit("in", ax, dx);
    a.emit("mov", byte({ base: edi }), al);
    a.emit("inc", edi);
    a.emit("loop", nextByte);
    this.write(0x00, 0x61);
    for (let i = 0; i < 6; i++) {
      a.emit("mov", al, byte({ displacement: this.station + i }));
      this.writeAl(1 + i);
    }
    this.write(0x07, FIRST_PAGE + 1);
    a.emit("mov", dword({ displacement: this.next }), FIRST_PAGE + 1);
    for (const [offset, value] of [
      [0x00, 0x22],
      [0x0d, 0x00],
      [0x0c, 0x04], // own address and broadcast
      [0x07, 0xff],
      [0x0f, 0x11], // received, overwritten
    ] as const)
      this.write(offset, value);
  }

  /** Remote DMA of constant place and length. */
  #remote(address: number, bytes: number, command: number): void {
    this.write(0x00, 0x22);
    this.write(0x0a, bytes & 0xff);
    this.write(0x0b, bytes >> 8);
    this.write(0x08, address & 0xff);
    this.write(0x09, address >> 8);
    this.write(0x00, command);
  }

  /** Remote DMA from the address in EBX, of ECX bytes; keeps both. */
  #remoteAt(command: number): void {
    const { a } = this;
    a.emit("mov", eax, ecx);
    this.writeAl(0x0a);
    a.emit("shr", eax, 8);
    this.writeAl(0x0b);
    a.emit("mov", eax, ebx);
    this.writeAl(0x08);
    a.emit("shr", eax, 8);
    this.writeAl(0x09);
    this.write(0x00, command);
  }

  #waitFor(bit: number): void {
    const { a } = this;
    const wait = a.newLabel();
    a.place(wait);
    this.read(0x07);
    a.emit("test", al, bit);
    a.emit("jz", wait);
    this.write(0x07, bit);
  }

  /** The subroutines and handlers; after the main program. */
  routines(): void {
    const { a } = this;
    // Sends `length` bytes at TO_SEND.
    a.label("send");
    a.emit("cli");
    a.emit("mov", ecx, dword({ displacement: this.length }));
    a.emit("inc", ecx);
    a.emit("and", ecx, -2);
    a.emit("mov", ebx, TRANSMIT_PAGE << 8);
    this.#remoteAt(0x12);
    a.emit("mov", esi, TO_SEND);
    a.emit("shr", ecx, 1);
    this.port(0x10);
    a.emitPrefixed("rep", "outsw");
    this.#waitFor(0x40);
    this.write(0x04, TRANSMIT_PAGE);
    a.emit("mov", eax, dword({ displacement: this.length }));
    this.writeAl(0x05);
    a.emit("shr", eax, 8);
    this.writeAl(0x06);
    this.write(0x00, 0x26);
    this.#waitFor(0x02);
    a.emit("ret");

    // Takes a frame from the ring to RECEIVED, its length to `length`; EAX = 0 when there is none.
    a.label("receive");
    a.emit("cli");
    this.write(0x00, 0x62);
    this.read(0x07);
    a.emit("mov", ecx, eax);
    this.write(0x00, 0x22);
    a.emit("xor", eax, eax);
    const none = a.newLabel();
    a.emit("cmp", ecx, dword({ displacement: this.next }));
    a.emit("jz", none);
    a.emit("mov", ebx, dword({ displacement: this.next }));
    a.emit("shl", ebx, 8);
    a.emit("mov", ecx, 4);
    this.#remoteAt(0x0a);
    this.port(0x10);
    a.emit("in", ax, dx);
    a.emit("shr", eax, 8);
    a.emit("and", eax, 0xff);
    a.emit("push", eax); // the page after the frame
    this.port(0x10);
    a.emit("xor", eax, eax);
    a.emit("in", ax, dx);
    a.emit("sub", eax, 4);
    a.emit("mov", dword({ displacement: this.length }), eax);
    this.#waitFor(0x40);
    a.emit("mov", ecx, dword({ displacement: this.length }));
    a.emit("inc", ecx);
    a.emit("and", ecx, -2);
    a.emit("add", ebx, 4);
    this.#remoteAt(0x0a);
    a.emit("mov", edi, RECEIVED);
    a.emit("shr", ecx, 1);
    this.port(0x10);
    a.emitPrefixed("rep", "insw");
    this.#waitFor(0x40);
    a.emit("pop", eax);
    a.emit("mov", dword({ displacement: this.next }), eax);
    a.emit("dec", eax);
    a.emit("cmp", eax, FIRST_PAGE);
    const above = a.newLabel();
    a.emit("jnb", above);
    a.emit("mov", eax, END_PAGE - 1);
    a.place(above);
    this.writeAl(0x03);
    a.emit("mov", eax, 1);
    a.place(none);
    a.emit("ret");

    a.label("interrupt");
    for (const register of [eax, edx]) a.emit("push", register);
    this.read(0x07);
    a.emit("and", eax, 0x11);
    a.emit("or", dword({ displacement: this.causes }), eax);
    this.writeAl(0x07);
    a.emit("inc", dword({ displacement: this.interrupts }));
    this.outByte(0xa0, 0x20);
    this.outByte(0x20, 0x20);
    for (const register of [edx, eax]) a.emit("pop", register);
    a.emit("iretd");

    a.label("tick");
    for (const register of [eax, edx]) a.emit("push", register);
    a.emit("inc", dword({ displacement: this.ticks }));
    this.outByte(0x20, 0x20);
    for (const register of [edx, eax]) a.emit("pop", register);
    a.emit("iretd");
  }

  /** Vectors, the interrupt controllers, and the timer at 100 Hz. */
  openInterruptsOfStation(): void {
    this.gate(0x20, "tick");
    this.gate(0x28 + LINE - 8, "interrupt");
    this.openInterrupts([0, 2, LINE]);
    for (const [port, value] of [
      [0x43, 0x34],
      [0x40, 0x9c],
      [0x40, 0x2e],
    ] as const)
      this.outByte(port, value);
  }

  copy(to: number, from: number, bytes: number): void {
    this.a.emit("mov", esi, from);
    this.a.emit("mov", edi, to);
    this.a.emit("mov", ecx, bytes);
    this.a.emitPrefixed("rep", "movsb");
  }

  field(address: number, offset: number): Operand {
    return byte({ displacement: address + offset });
  }
}

/** Sends every frame of our type back, and ends (value 0) after the last. */
export function echoStation(): Uint8Array {
  const kernel = new StationWriter();
  const { a } = kernel;
  kernel.openInterruptsOfStation();
  kernel.openCard();
  const wait = a.newLabel();
  const again = a.newLabel();
  a.place(wait);
  a.emit("sti");
  a.emit("hlt");
  a.place(again);
  a.emit("call", symbol("receive"));
  a.emit("test", eax, eax);
  a.emit("jz", wait);
  a.emit("cmp", word({ displacement: RECEIVED + 12 }), TYPE);
  a.emit("jnz", again);
  kernel.copy(TO_SEND, RECEIVED, 1600);
  kernel.copy(TO_SEND, RECEIVED + 6, 6);
  kernel.copy(TO_SEND + 6, kernel.station, 6);
  a.emit("call", symbol("send"));
  a.emit("cmp", kernel.field(RECEIVED, LAST), 0);
  a.emit("jz", again);
  kernel.print("all sent back\n");
  kernel.endWith(0);
  kernel.routines();
  return kernel.finish();
}

/** Sends frames of these sizes, compares the answers, and ends with 0, or with 1 when one was wrong. */
export function askingStation(sizes: readonly number[]): Uint8Array {
  const kernel = new StationWriter();
  const { a } = kernel;
  kernel.openInterruptsOfStation();
  kernel.openCard();
  // The first frame goes to everybody, the others to the station that answered.
  for (let i = 0; i < 6; i++) a.emit("mov", kernel.field(RECEIVED, 6 + i), 0xff);
  for (const [sequence, size] of sizes.entries()) {
    const resend = a.newLabel();
    const look = a.newLabel();
    const wrong = a.newLabel();
    const done = a.newLabel();
    kernel.copy(TO_SEND, RECEIVED + 6, 6);
    kernel.copy(TO_SEND + 6, kernel.station, 6);
    a.emit("mov", word({ displacement: TO_SEND + 12 }), TYPE);
    a.emit("mov", kernel.field(TO_SEND, SEQUENCE), sequence + 1);
    a.emit("mov", kernel.field(TO_SEND, LAST), sequence === sizes.length - 1 ? 1 : 0);
    a.emit("mov", edi, TO_SEND + PAYLOAD);
    a.emit("mov", ecx, size - PAYLOAD);
    const fill = a.newLabel();
    a.place(fill);
    a.emit("mov", eax, ecx);
    a.emit("imul", eax, eax, 7 + sequence);
    a.emit("mov", byte({ base: edi }), al);
    a.emit("inc", edi);
    a.emit("loop", fill);
    a.place(resend);
    a.emit("mov", dword({ displacement: kernel.length }), size);
    a.emit("call", symbol("send"));
    a.emit("mov", dword({ displacement: kernel.ticks }), 0);
    a.place(look);
    a.emit("call", symbol("receive"));
    a.emit("test", eax, eax);
    const got = a.newLabel();
    a.emit("jnz", got);
    a.emit("cmp", dword({ displacement: kernel.ticks }), 30);
    a.emit("jnb", resend);
    a.emit("sti");
    a.emit("hlt");
    a.emit("jmp", look);
    a.place(got);
    a.emit("cmp", word({ displacement: RECEIVED + 12 }), TYPE);
    a.emit("jnz", look);
    a.emit("cmp", kernel.field(RECEIVED, SEQUENCE), sequence + 1);
    a.emit("jnz", look);
    a.emit("cmp", dword({ displacement: kernel.length }), size);
    a.emit("jnz", wrong);
    a.emit("mov", esi, TO_SEND + 12);
    a.emit("mov", edi, RECEIVED + 12);
    a.emit("mov", ecx, size - 12);
    a.emitPrefixed("repe", "cmpsb");
    a.emit("jnz", wrong);
    kernel.print(`${size} bytes came back\n`);
    a.emit("jmp", done);
    a.place(wrong);
    a.emit("mov", eax, dword({ displacement: kernel.length }));
    kernel.report("wrong answer of length");
    kernel.endWith(1);
    a.place(done);
  }
  a.emit("xor", eax, eax);
  a.emit("cmp", dword({ displacement: kernel.interrupts }), 0);
  a.emit("setz", cl);
  a.emit("mov", al, cl);
  kernel.report("without interrupts");
  kernel.endWith(0);
  kernel.routines();
  return kernel.finish();
}
