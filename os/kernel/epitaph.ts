/**
 * The epitaph: what is told when an invariant of the kernel is broken, on the console and, for a debugger, in memory. The global
 * `os/kernel/epitaph/epitaph` is 0 until then; it holds the address of
 *
 *   +0    0x4c524945 ("EIRL")
 *   +4    1, the version of this layout
 *   +8    address of the message, NUL-terminated
 *   +12   id of the running thread, 0 before there is one;  +16 id of its process;  +20 address of the process's name, 0 for none
 *   +24   registers, as words: eip cs eflags error edi esi ebp esp ebx edx ecx eax; zero where they are not known
 *   +72   linear address of the last page fault (CR2; 0 when the panic was at ring 1, which cannot read it)
 *   +76   how many return addresses follow, then up to 16 of them, the innermost first
 *   +144  address, size, and count of bytes ever written of the ring that holds the console's last bytes: byte n is at n modulo size
 *
 * It may be written at any ring and in any state, so it waits for nothing and takes no memory. A panic while it is being told ends the machine
 * at once. The machine's exit status is PANIC_STATUS.
 */

import { logAddress, logSize, logWritten, print, printHexadecimal, printNumber, putByte } from "./console";
import { DEVICES_END, STACKS_START, WINDOW_SIZE, WINDOW_START } from "./i386/layout";
import { printSource } from "./loader/lines";
import type { Process } from "./objects/process";
import { optionIs } from "./objects/system";
import { inKernelStacks } from "./threads/stacks";
import { currentThread, type Thread } from "./threads/thread";

const MAGIC: u32 = 0x4c524945;
const VERSION: u32 = 1;
const REGISTERS: usize = 24;
const DEPTH: u32 = 16;
const CONTEXT_SAME_RING: usize = 60;
/** Lines of the console that are repeated, and how far back they are looked for. */
const LINES: u32 = 8;
const LINES_REACH: u32 = 1000;
/** isa-debug-exit; a panic ends the machine with this value. */
const DEBUG_EXIT: u32 = 0xf4;
const PANIC_STATUS: u32 = 125;

const area: usize = memory.data(160, 16);
let epitaph: usize = 0;

/** A broken invariant: the epitaph, then the end of the machine. */
export function panic(message: usize): void {
  panicAt(message, changetype<Thread>(0));
}

/** The same with the registers of the code that broke it. */
export function panicAt(message: usize, context: Thread): void {
  disableInterrupts();
  if (epitaph === 0) {
    epitaph = area;
    store<u32>(epitaph, MAGIC);
    writeDown(message, context, framePointer());
    tell(message);
  }
  portOut32(DEBUG_EXIT, PANIC_STATUS);
  while (true) {}
}

function writeDown(message: usize, context: Thread, frame: usize): void {
  store<u32>(epitaph, VERSION, 4);
  store<usize>(epitaph, message, 8);
  const thread = currentThread();
  store<u32>(epitaph, thread.id, 12);
  if (thread.id !== 0 && thread.process !== 0) {
    const process = changetype<Process>(thread.process);
    store<u32>(epitaph, process.id, 16);
    store<usize>(epitaph, process.name, 20);
  }
  let depth: u32 = 0;
  if (changetype<usize>(context) !== 0) {
    const registers = epitaph + REGISTERS;
    store<u32>(registers, context.eip);
    store<u32>(registers, context.cs, 4);
    store<u32>(registers, context.eflags, 8);
    store<u32>(registers, context.error, 12);
    store<u32>(registers, context.edi, 16);
    store<u32>(registers, context.esi, 20);
    store<u32>(registers, context.ebp, 24);
    store<u32>(registers, stackPointer(context), 28);
    store<u32>(registers, context.ebx, 32);
    store<u32>(registers, context.edx, 36);
    store<u32>(registers, context.ecx, 40);
    store<u32>(registers, context.eax, 44);
    store<u32>(returns(depth++), context.eip);
    frame = context.ebp;
  }
  // The innermost call is `panic`'s own.
  else frame = load<u32>(frame);
  for (; depth < DEPTH && onStack(frame); depth++) {
    store<u32>(returns(depth), load<u32>(frame, 4));
    frame = load<u32>(frame);
  }
  store<u32>(epitaph, depth, 76);
  if ((codeSegment() & 3) === 0) store<u32>(epitaph, <u32>readControl2(), 72);
  store<usize>(epitaph, logAddress(), 144);
  store<u32>(epitaph, logSize(), 148);
  store<u32>(epitaph, logWritten(), 152);
}

/** A context that was saved within its ring lies on the stack that it is about, without esp and ss. */
function stackPointer(context: Thread): u32 {
  const address = changetype<usize>(context);
  return inKernelStacks(address) || (context.cs & 3) === 0 ? <u32>(address + CONTEXT_SAME_RING) : context.esp;
}

function returns(depth: u32): usize {
  return epitaph + 80 + (depth << 2);
}

/** A kernel stack, or the ring 0 stack in the kernel's image. */
function onStack(frame: usize): bool {
  return frame >= STACKS_START && frame < WINDOW_START + WINDOW_SIZE;
}

function tell(message: usize): void {
  print(text("\npanic: "));
  print(message);
  if (load<u32>(epitaph, 12) !== 0) {
    print(text("\nthread "));
    printNumber(load<u32>(epitaph, 12));
    print(text(", process "));
    printNumber(load<u32>(epitaph, 16));
    if (load<usize>(epitaph, 20) !== 0) {
      print(text(" ("));
      print(load<usize>(epitaph, 20));
      print(text(")"));
    }
  }
  if (load<u32>(epitaph, REGISTERS) !== 0) tellRegisters(epitaph + REGISTERS);
  print(text("\nstack:\n"));
  for (let depth: u32 = 0; depth < load<u32>(epitaph, 76); depth++)
    tellPlace(load<u32>(returns(depth)), depth);
  print(text("last lines of the console:\n"));
  tellLines();
}

function field(name: usize, value: u32): void {
  print(name);
  printHexadecimal(value);
}

function tellRegisters(registers: usize): void {
  field(text("\neip "), load<u32>(registers));
  field(text(" cs "), load<u32>(registers, 4));
  field(text(" flags "), load<u32>(registers, 8));
  field(text(" error "), load<u32>(registers, 12));
  field(text("\neax "), load<u32>(registers, 44));
  field(text(" ebx "), load<u32>(registers, 32));
  field(text(" ecx "), load<u32>(registers, 40));
  field(text(" edx "), load<u32>(registers, 36));
  field(text("\nesi "), load<u32>(registers, 20));
  field(text(" edi "), load<u32>(registers, 16));
  field(text(" ebp "), load<u32>(registers, 24));
  field(text(" esp "), load<u32>(registers, 28));
}

/** A return address belongs to the call before it. */
function tellPlace(address: u32, depth: u32): void {
  field(text("  "), address);
  const called = depth !== 0 || load<u32>(epitaph, REGISTERS) === 0;
  printSource(text("kernel"), called ? address - 1 : address, text(" "));
  print(text("\n"));
}

/** The last lines that were written before the epitaph, each behind a bar. */
function tellLines(): void {
  const written = load<u32>(epitaph, 152);
  const ring = logAddress();
  const size = logSize();
  const reach = min<u32>(min<u32>(written, LINES_REACH), size >> 1);
  let from = written;
  for (let lines: u32 = 0; from > written - reach; from--) {
    if (load<u8>(ring + ((from - 1) % size)) === 10 && from !== written && ++lines > LINES) break;
  }
  let fresh = true;
  for (let at = from; at < written; at++) {
    const byte: u32 = load<u8>(ring + (at % size));
    if (byte === 13) continue;
    if (fresh) print(text("| "));
    fresh = byte === 10;
    if (fresh) print(text("\n"));
    else putByte(byte);
  }
  if (!fresh) print(text("\n"));
}

/** Boot option `break=panic` or `break=fault`, for tests of all this: the end of the run breaks an invariant of the kernel instead. */
export function breakAsAsked(): void {
  if (optionIs(text("break"), text("panic"))) panic(text("the boot option break asked for it"));
  if (optionIs(text("break"), text("fault"))) store<u32>(DEVICES_END, 0);
}
