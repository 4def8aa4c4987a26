/**
 * Device interrupts: the 8259 pair and the table of first-level handlers. Handlers run at ring 0 on the processor's small
 * stack with interrupts off; they may acknowledge their device, touch pinned memory and wake threads.
 */

import { E_EXISTS, E_INVALIDARG, E_NOTFOUND, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { clockInterrupt } from "./clock";
import { enterCritical, leaveCritical } from "./critical";
import { INTERRUPT_LINES, VECTOR_INTERRUPT } from "./layout";

const MASTER: u32 = 0x20;
const SLAVE: u32 = 0xa0;
const CLOCK_LINE: u32 = 0;
const CASCADE_LINE: u32 = 2;
const END_OF_INTERRUPT: u32 = 0x20;
const READ_IN_SERVICE: u32 = 0x0b;

/** Pairs by line: code address of the handler (0 for none), its argument. */
const handlers: usize = memory.data(128, 16);
let mask: u32 = 0xffff;

export function startInterrupts(): void {
  for (let chip = 0; chip < 2; chip++) {
    const port = chip === 0 ? MASTER : SLAVE;
    portOut8(port, 0x11); // ICW1: edge, cascade, ICW4 follows
    portOut8(port + 1, VECTOR_INTERRUPT + chip * 8);
    portOut8(port + 1, chip === 0 ? 1 << CASCADE_LINE : CASCADE_LINE);
    portOut8(port + 1, 1); // ICW4: 8086 mode
  }
  setMask(0xffff & ~((1 << CASCADE_LINE) | (1 << CLOCK_LINE)));
}

function setMask(value: u32): void {
  mask = value;
  portOut8(MASTER + 1, mask & 0xff);
  portOut8(SLAVE + 1, mask >> 8);
}

/** Has `handler(argument)` called at every interrupt of `line`. E_INVALIDARG, E_EXISTS. */
export function connectInterrupt(line: u32, handler: u32, argument: u32): HRESULT {
  if (line >= INTERRUPT_LINES || handler === 0 || line === CASCADE_LINE) return E_INVALIDARG;
  if (line === CLOCK_LINE) return E_EXISTS;
  const slot = handlers + line * 8;
  const flags = enterCritical();
  const taken = load<u32>(slot) !== 0;
  if (!taken) {
    store<u32>(slot, handler);
    store<u32>(slot, argument, 4);
    setMask(mask & ~(1 << line));
  }
  leaveCritical(flags);
  return taken ? E_EXISTS : S_OK;
}

export function disconnectInterrupt(line: u32): HRESULT {
  if (line >= INTERRUPT_LINES || load<u32>(handlers + line * 8) === 0) return E_NOTFOUND;
  const flags = enterCritical();
  setMask(mask | (1 << line));
  store<u32>(handlers + line * 8, 0);
  leaveCritical(flags);
  return S_OK;
}

/** Disconnects every line whose handler's code lies in [start, end): it is about to leave the kernel. */
export function disconnectRange(start: usize, end: usize): void {
  for (let line: u32 = 0; line < INTERRUPT_LINES; line++) {
    const handler: usize = load<u32>(handlers + line * 8);
    if (handler !== 0 && handler >= start && handler < end) disconnectInterrupt(line);
  }
}

/** Handles interrupts that the processor took but could not deliver: only those are in service now. */
export function lostInterrupts(): void {
  portOut8(MASTER, READ_IN_SERVICE);
  portOut8(SLAVE, READ_IN_SERVICE);
  const lost = (portIn8(MASTER) | (portIn8(SLAVE) << 8)) & ~(1 << CASCADE_LINE);
  for (let line: u32 = 0; line < INTERRUPT_LINES; line++) if (lost & (1 << line)) deviceInterrupt(line);
}

/** First-level dispatch, ring 0. A spurious interrupt (line 7 or 15, not in service) has no handler to call. */
export function deviceInterrupt(line: u32): void {
  if ((line & 7) === 7) {
    const port = line < 8 ? MASTER : SLAVE;
    portOut8(port, READ_IN_SERVICE);
    if ((portIn8(port) & 0x80) === 0) {
      if (line === 15) portOut8(MASTER, END_OF_INTERRUPT);
      return;
    }
  }
  if (line >= 8) portOut8(SLAVE, END_OF_INTERRUPT);
  portOut8(MASTER, END_OF_INTERRUPT);
  if (line === CLOCK_LINE) {
    clockInterrupt();
    return;
  }
  const slot = handlers + line * 8;
  const handler = load<u32>(slot);
  if (handler !== 0) call_indirect<void>(handler, load<u32>(slot, 4));
}
