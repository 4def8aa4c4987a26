/**
 * Polled output on the first serial port: boot messages, fault reports and the epitaph. It works at any ring that may use
 * ports, with interrupts on or off, and shares the line with the console driver.
 */

import { STACKS_START, WINDOW_SIZE, WINDOW_START } from "./i386/layout";
import type { Thread } from "./threads/thread";

const LINE: u32 = 0x3f8;
const LINE_STATUS: u32 = LINE + 5;
const TRANSMITTER_EMPTY: u32 = 0x20;
/** isa-debug-exit; a panic ends the machine with this value. */
const DEBUG_EXIT: u32 = 0xf4;
const PANIC_STATUS: u32 = 0x7f;

export function putByte(value: u32): void {
  while ((portIn8(LINE_STATUS) & TRANSMITTER_EMPTY) === 0) {}
  portOut8(LINE, value);
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

function printField(name: usize, value: u32): void {
  print(name);
  printHexadecimal(value);
}

/** Registers of a saved context. */
export function describeFrame(frame: Thread): void {
  printField(text("\neip "), frame.eip);
  printField(text(" cs "), frame.cs);
  printField(text(" flags "), frame.eflags);
  printField(text(" error "), frame.error);
  printField(text("\neax "), frame.eax);
  printField(text(" ebx "), frame.ebx);
  printField(text(" ecx "), frame.ecx);
  printField(text(" edx "), frame.edx);
  printField(text("\nesi "), frame.esi);
  printField(text(" edi "), frame.edi);
  printField(text(" ebp "), frame.ebp);
}

/** A kernel stack, or the ring 0 stack in the kernel's image. */
function onStack(frame: usize): bool {
  return frame >= STACKS_START && frame < WINDOW_START + WINDOW_SIZE;
}

/** A broken invariant: the epitaph, then the end of the machine. */
export function panic(message: usize): void {
  disableInterrupts();
  print(text("\npanic: "));
  print(message);
  let frame = framePointer();
  print(text("\ncalled from"));
  for (let depth = 0; depth < 16 && onStack(frame); depth++) {
    printField(text(" "), load<u32>(frame, 4));
    frame = load<u32>(frame);
  }
  print(text("\n"));
  portOut32(DEBUG_EXIT, PANIC_STATUS);
  while (true) {}
}
