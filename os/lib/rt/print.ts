/**
 * Text output. A printer is a small buffer on the caller's stack; what it collects goes to the console when it is full, at
 * `flush`, and at `end`. The console is looked up each time, since it may be replaced while programs run.
 *
 *   const out = makePrinter(stackAlloc(PRINTER_SIZE));
 *   out.text(text("frames ")); out.number(count); out.end();
 */

import { IConsole } from "../../interfaces/IConsole";
import { S_OK } from "../../interfaces/results";
import { systemObject } from "./program";
import { stringLength } from "./strings";

const ROOM: u32 = 240;
export const PRINTER_SIZE: u32 = 256;

@unmanaged
export class Printer {
  length: u32 = 0;

  put(byte: u32): void {
    if (this.length === ROOM) this.flush();
    store<u8>(changetype<usize>(this) + 4 + this.length, <u8>byte);
    this.length++;
  }

  text(string: usize): void {
    for (let at = string; load<u8>(at) !== 0; at++) this.put(load<u8>(at));
  }

  number(value: u32): void {
    this.wide(value);
  }

  signed(value: i32): void {
    if (value < 0) this.put(45);
    this.wide(<u32>abs<i32>(value));
  }

  wide(value: u64): void {
    const digits = stackAlloc(24);
    let count: usize = 0;
    let rest = value;
    do {
      store<u8>(digits + count, <u8>(48 + <u32>(rest % 10)));
      count++;
      rest /= 10;
    } while (rest !== 0);
    while (count > 0) this.put(load<u8>(digits + --count));
  }

  hexadecimal(value: u32): void {
    for (let shift: i32 = 28; shift >= 0; shift -= 4) {
      const digit = (value >> shift) & 15;
      this.put(digit < 10 ? 48 + digit : 87 + digit);
    }
  }

  /** The string, padded with blanks to `width`. */
  column(string: usize, width: u32): void {
    this.text(string);
    for (let used = stringLength(string); used < width; used++) this.put(32);
  }

  /** The number, right-aligned in `width`. */
  numberColumn(value: u64, width: u32): void {
    let digits: u32 = 1;
    for (let rest = value / 10; rest !== 0; rest /= 10) digits++;
    for (; digits < width; digits++) this.put(32);
    this.wide(value);
  }

  flush(): void {
    writeConsole(changetype<usize>(this) + 4, this.length);
    this.length = 0;
  }

  /** Ends the line and sends it. */
  end(): void {
    this.put(10);
    this.flush();
  }
}

/** A printer in `memory`, PRINTER_SIZE bytes. */
export function makePrinter(memory: usize): Printer {
  const printer = changetype<Printer>(memory);
  printer.length = 0;
  return printer;
}

/** Sends bytes to the console; without one they are lost. */
export function writeConsole(bytes: usize, size: u32): void {
  if (size === 0) return;
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().bind(text("console"), IConsole.IID, word) !== S_OK) return;
  const console = changetype<IConsole>(load<usize>(word));
  console.write(bytes, size);
  console.release();
}

/** Waits until everything written to the console has left the machine. */
export function flushConsole(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().bind(text("console"), IConsole.IID, word) !== S_OK) return;
  const console = changetype<IConsole>(load<usize>(word));
  console.flush();
  console.release();
}

/** Sends one string as it is. */
export function print(string: usize): void {
  writeConsole(string, stringLength(string));
}
