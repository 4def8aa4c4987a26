/**
 * What every test kernel needs, in machine code: flat segments of its own, an interrupt table, the serial port polled, and an
 * end that all three machines understand.
 *
 * Registers: the subroutines keep all but EAX, EDX and the flags. Fixed memory above the code, zeroed by the loader:
 *
 *   0x200000  interrupt table, 256 gates       0x201000  variables       0x20f000  top of the stack
 */
import { Assembler } from "../i386/assembler.ts";
import {
  al,
  ax,
  ds,
  dword,
  dx,
  eax,
  ebx,
  ecx,
  edx,
  es,
  esp,
  far,
  fs,
  fword,
  gs,
  type Register,
  ss,
  symbol,
} from "../i386/assembly.ts";
import { buildElfKernel, KERNEL_BASE } from "./elf-kernel.ts";

const INTERRUPT_TABLE = 0x200000;
const VARIABLES = 0x201000;
const STACK_TOP = 0x20f000;
const ZEROED_END = 0x210000;
const CODE_SELECTOR = 0x08;
const DATA_SELECTOR = 0x10;

export const SERIAL_PORT = 0x3f8;

export class KernelWriter {
  readonly a = new Assembler();
  #variables = 0;
  #strings = new Map<string, string>();

  constructor() {
    this.#start();
  }

  /** Address of a new zeroed word. */
  variable(): number {
    return VARIABLES + 4 * this.#variables++;
  }

  outByte(port: number, value: number): void {
    this.a.emit("mov", dx, port);
    this.a.emit("mov", al, value);
    this.a.emit("out", dx, al);
  }

  /** AL = byte at the port; the rest of EAX is zero. */
  inByte(port: number): void {
    this.a.emit("mov", dx, port);
    this.a.emit("xor", eax, eax);
    this.a.emit("in", al, dx);
  }

  print(text: string): void {
    let name = this.#strings.get(text);
    if (name === undefined) {
      name = `string${this.#strings.size}`;
      this.#strings.set(text, name);
    }
    this.a.emit("push", ebx);
    this.a.emit("mov", ebx, symbol(name));
    this.a.emit("call", symbol("printText"));
    this.a.emit("pop", ebx);
  }

  /** Prints a register as eight hexadecimal digits. */
  printHex(register: Register): void {
    if (register !== eax) this.a.emit("mov", eax, register);
    this.a.emit("call", symbol("printHex"));
  }

  /** "label=XXXXXXXX\n" of EAX. */
  report(label: string): void {
    this.a.emit("push", eax);
    this.print(`${label}=`);
    this.a.emit("pop", eax);
    this.printHex(eax);
    this.print("\n");
  }

  /** Points an interrupt vector at a symbol (interrupt gate, ring 0). */
  gate(vector: number, handler: string): void {
    const entry = INTERRUPT_TABLE + 8 * vector;
    this.a.emit("mov", eax, symbol(handler));
    this.a.emit("mov", edx, eax);
    this.a.emit("and", eax, 0xffff);
    this.a.emit("or", eax, CODE_SELECTOR << 16);
    this.a.emit("mov", dword({ displacement: entry }), eax);
    this.a.emit("and", edx, 0xffff0000);
    this.a.emit("or", edx, 0x8e00);
    this.a.emit("mov", dword({ displacement: entry + 4 }), edx);
  }

  /** 8259 pair at vectors 20h and 28h, with these lines open. */
  openInterrupts(lines: readonly number[]): void {
    const mask = lines.reduce((bits, line) => bits & ~(1 << line), 0xffff);
    const words: ReadonlyArray<readonly [number, number]> = [
      ...([
        [0x20, 0x11],
        [0x21, 0x20],
        [0x21, 0x04],
        [0x21, 0x01],
        [0xa0, 0x11],
        [0xa1, 0x28],
        [0xa1, 0x02],
        [0xa1, 0x01],
      ] as const),
      [0x21, mask & 0xff],
      [0xa1, mask >> 8],
    ];
    for (const [port, value] of words) this.outByte(port, value);
  }

  /** Waits in HLT, with interrupts on only there, until a handler has made the variable something else than zero. */
  sleepWhileZero(variable: number): void {
    const wait = this.a.newLabel();
    this.a.place(wait);
    this.a.emit("sti");
    this.a.emit("hlt");
    this.a.emit("cli");
    this.a.emit("cmp", dword({ displacement: variable }), 0);
    this.a.emit("jz", wait);
  }

  /** Ends the run with the value that is in EAX now. */
  end(): void {
    this.a.emit("jmp", symbol("end"));
  }

  endWith(value: number): void {
    this.a.emit("mov", eax, value);
    this.end();
  }

  /** The kernel's file. */
  finish(options: { readonly virtualBase?: number } = {}): Uint8Array {
    this.#routines();
    const encoder = new TextEncoder();
    for (const [text, name] of this.#strings) {
      this.a.label(name);
      this.a.bytes(encoder.encode(`${text}\0`));
    }
    const code = this.a.finish();
    const zeroed = ZEROED_END - KERNEL_BASE - 16 - code.text.length;
    return buildElfKernel(code, { entry: "start", zeroed, ...options });
  }

  #start(): void {
    const a = this.a;
    a.label("start");
    // The multiboot registers wait on the stack for whoever wants them: magic at [STACK_TOP - 4], information at - 8.
    a.emit("mov", esp, STACK_TOP);
    a.emit("push", eax);
    a.emit("push", ebx);
    a.emit("lgdt", fword({ displacement: symbol("gdtRegister") }));
    const flat = a.newLabel();
    a.emit("jmp", far(CODE_SELECTOR, flat));
    a.place(flat);
    a.emit("mov", ax, DATA_SELECTOR);
    for (const segment of [ds, es, ss, fs, gs]) a.emit("mov", segment, ax);
    a.emit("lidt", fword({ displacement: symbol("idtRegister") }));
    for (const [offset, value] of [
      [1, 0x00], // no interrupts
      [3, 0x83], // divisor open
      [0, 0x01],
      [1, 0x00],
      [3, 0x03], // 8 bits, no parity
      [2, 0x07], // FIFO on and empty
      [4, 0x0b], // DTR, RTS, OUT2
    ] as const) {
      this.outByte(SERIAL_PORT + offset, value);
    }
    a.emit("jmp", symbol("main"));

    a.align(8);
    a.label("gdt");
    a.dword(0);
    a.dword(0);
    a.dword(0x0000ffff);
    a.dword(0x00cf9b00);
    a.dword(0x0000ffff);
    a.dword(0x00cf9300);
    a.label("gdtRegister");
    a.word(23);
    a.dword(symbol("gdt"));
    a.label("idtRegister");
    a.word(256 * 8 - 1);
    a.dword(INTERRUPT_TABLE);
    a.label("main");
  }

  #routines(): void {
    const a = this.a;
    // Prints AL.
    a.label("printByte");
    a.emit("push", eax);
    const full = a.newLabel();
    a.place(full);
    this.inByte(SERIAL_PORT + 5);
    a.emit("test", al, 0x20);
    a.emit("jz", full);
    a.emit("pop", eax);
    a.emit("mov", dx, SERIAL_PORT);
    a.emit("out", dx, al);
    a.emit("ret");

    // Prints the text at EBX.
    a.label("printText");
    const [next, done] = [a.newLabel(), a.newLabel()];
    a.place(next);
    a.emit("movzx", eax, { kind: "memory", size: 1, base: ebx });
    a.emit("test", eax, eax);
    a.emit("jz", done);
    a.emit("call", symbol("printByte"));
    a.emit("inc", ebx);
    a.emit("jmp", next);
    a.place(done);
    a.emit("ret");

    // Prints EAX in hexadecimal. The digit's letter distance is added without a branch.
    a.label("printHex");
    a.emit("push", ebx);
    a.emit("push", ecx);
    a.emit("mov", ebx, eax);
    a.emit("mov", ecx, 8);
    const digit = a.newLabel();
    a.place(digit);
    a.emit("rol", ebx, 4);
    a.emit("mov", eax, ebx);
    a.emit("and", eax, 15);
    a.emit("lea", edx, dword({ base: eax, displacement: -10 }));
    a.emit("sar", edx, 31);
    a.emit("not", edx);
    a.emit("and", edx, 0x27);
    a.emit("lea", eax, dword({ base: eax, index: edx, scale: 1, displacement: 0x30 }));
    a.emit("call", symbol("printByte"));
    a.emit("dec", ecx);
    a.emit("jnz", digit);
    a.emit("pop", ecx);
    a.emit("pop", ebx);
    a.emit("ret");

    // Ends with EAX. The serial line is emptied first; what follows port 0xf4 is Bochs's convention.
    a.label("end");
    a.emit("cli");
    a.emit("mov", ecx, eax);
    const sending = a.newLabel();
    a.place(sending);
    this.inByte(SERIAL_PORT + 5);
    a.emit("test", al, 0x40);
    a.emit("jz", sending);
    a.emit("mov", eax, ecx);
    a.emit("mov", dx, 0xf4);
    a.emit("out", dx, eax);
    for (const character of "[exit ") this.outByte(0xe9, character.charCodeAt(0));
    for (const shift of [4, 0]) {
      a.emit("mov", eax, ecx);
      if (shift > 0) a.emit("shr", eax, shift);
      a.emit("and", eax, 15);
      const letter = a.newLabel();
      a.emit("add", eax, 0x30);
      a.emit("cmp", eax, 0x3a);
      a.emit("jb", letter);
      a.emit("add", eax, 0x27);
      a.place(letter);
      a.emit("mov", dx, 0xe9);
      a.emit("out", dx, al);
    }
    this.outByte(0xe9, "]".charCodeAt(0));
    for (const character of "Shutdown") this.outByte(0x8900, character.charCodeAt(0));
    const asleep = a.newLabel();
    a.place(asleep);
    a.emit("hlt");
    a.emit("jmp", asleep);
  }
}
