/**
 * Polled output on the first serial port: boot messages, fault reports and the epitaph. It works at any ring that may use
 * ports, with interrupts on or off, and shares the line with the console driver.
 */

const LINE: u32 = 0x3f8;
const LINE_STATUS: u32 = LINE + 5;
const TRANSMITTER_EMPTY: u32 = 0x20;
/** The last bytes that went to the console, from here or through the driver (objects/log.ts): byte n is at n modulo the size. */
const LOG: u32 = 4096;
const log: usize = memory.data(4096, 16);
let written: u32 = 0;

export function logAddress(): usize {
  return log;
}

export function logSize(): u32 {
  return LOG;
}

export function logWritten(): u32 {
  return written;
}

export function logByte(value: u32): void {
  store<u8>(log + (written % LOG), <u8>value);
  written++;
}

export function putByte(value: u32): void {
  while ((portIn8(LINE_STATUS) & TRANSMITTER_EMPTY) === 0) {}
  portOut8(LINE, value);
  logByte(value);
}

/** NUL-terminated UTF-8; a newline goes out as carriage return and newline. */
export function print(message: usize): void {
  for (let at = message; load<u8>(at) !== 0; at++) {
    const byte: u32 = load<u8>(at);
    if (byte === 10) putByte(13);
    putByte(byte);
  }
}

/** A name that a program gave: anything but printable ASCII as \\xNN. */
export function printName(name: usize): void {
  for (let at = name; load<u8>(at) !== 0; at++) {
    const byte: u32 = load<u8>(at);
    if (byte > 32 && byte < 127 && byte !== 92) putByte(byte);
    else {
      print(text("\\x"));
      putHexadecimalDigit(byte >> 4);
      putHexadecimalDigit(byte & 15);
    }
  }
}

function putHexadecimalDigit(digit: u32): void {
  putByte(digit < 10 ? 48 + digit : 87 + digit);
}

export function printNumber(value: u32): void {
  if (value >= 10) printNumber(value / 10);
  putByte(48 + (value % 10));
}

export function printHexadecimal(value: u32): void {
  print(text("0x"));
  for (let shift: i32 = 28; shift >= 0; shift -= 4) putHexadecimalDigit((value >> shift) & 15);
}
