/**
 * The port's object: two ring queues between threads and the interrupt handler.
 *
 * The handler alone puts into `received` and takes from `sending`; threads do the opposite inside interrupt-safe sections,
 * so no lock is needed between them. Writers wait on the count of what is to be sent, readers on `events`; the handler changes and wakes both.
 */

import type { IDriver } from "../../interfaces/IDriver";
import type { ILog } from "../../interfaces/ILog";
import type { ISerial } from "../../interfaces/ISerial";
import { E_CANCELLED, S_OK } from "../../interfaces/results";
import type { HRESULT, InBytes, Out, OutBytes } from "../../interfaces/types";
import { FOREVER, WAIT_CANCELLED, waitOn, wake, yieldProcessor } from "../../lib/rt/wait";

const BASE: u32 = 0x3f8;
const INTERRUPT_ENABLE: u32 = BASE + 1;
const FIFO_CONTROL: u32 = BASE + 2;
const INTERRUPT_IDENTITY: u32 = BASE + 2;
const MODEM_CONTROL: u32 = BASE + 4;
const LINE_STATUS: u32 = BASE + 5;
const RECEIVED_INTERRUPT: u32 = 1;
const TRANSMIT_INTERRUPT: u32 = 2;
const DATA_READY: u32 = 1;
const TRANSMITTER_EMPTY: u32 = 0x20;
const TRANSMITTER_IDLE: u32 = 0x40;
/** DTR, RTS, and OUT2, which lets the interrupt out on a PC. */
const MODEM_LINES: u32 = 0x0b;
const FIFO_DEPTH: u32 = 16;
const QUEUE: u32 = 1024;

/** A ring of bytes; `count` is changed on both sides, with interrupts off. */
@unmanaged
class Ring {
  count: u32 = 0;
  first: u32 = 0;
  bytes: usize = 0;

  put(byte: u32): void {
    store<u8>(this.bytes + ((this.first + this.count) & (QUEUE - 1)), <u8>byte);
    this.count++;
  }

  take(): u32 {
    const byte: u32 = load<u8>(this.bytes + this.first);
    this.first = (this.first + 1) & (QUEUE - 1);
    this.count--;
    return byte;
  }

  countAddress(): usize {
    return changetype<usize>(this) + offsetof<Ring>("count");
  }
}

const receivedBytes: usize = memory.data(1024, 16);
const sendingBytes: usize = memory.data(1024, 16);
const receivedRing: usize = memory.data(12, 16);
const sendingRing: usize = memory.data(12, 16);

@unmanaged
export class SerialPort extends ComObject implements ISerial {
  driver: IDriver = changetype<IDriver>(0);
  log: ILog = changetype<ILog>(0);
  received: Ring = changetype<Ring>(0);
  sending: Ring = changetype<Ring>(0);
  /** Bytes that came while the queue was full. */
  lost: u32 = 0;
  /** The next read without bytes comes back. */
  readCancelled: u32 = 0;
  /** Counts what a reader waits for: bytes that came, and cancelling. */
  events: u32 = 0;

  eventWord(): usize {
    return changetype<usize>(this) + offsetof<SerialPort>("events");
  }

  start(): void {
    this.received = changetype<Ring>(receivedRing);
    this.received.bytes = receivedBytes;
    this.sending = changetype<Ring>(sendingRing);
    this.sending.bytes = sendingBytes;
    portOut8(FIFO_CONTROL, 0x07);
    portOut8(MODEM_CONTROL, MODEM_LINES);
    portOut8(INTERRUPT_ENABLE, RECEIVED_INTERRUPT);
  }

  stop(): void {
    portOut8(INTERRUPT_ENABLE, 0);
  }

  /** First-level handler: runs until the port asks for nothing more. */
  interrupt(): void {
    while ((portIn8(INTERRUPT_IDENTITY) & 1) === 0) {
      let arrived = false;
      while (portIn8(LINE_STATUS) & DATA_READY) {
        const byte = portIn8(BASE);
        if (this.received.count < QUEUE) this.received.put(byte);
        else this.lost++;
        arrived = true;
      }
      if (arrived) {
        atomicAdd(this.eventWord(), 1);
        wake(this.eventWord(), 1);
      }
      if (portIn8(LINE_STATUS) & TRANSMITTER_EMPTY) this.sendSome();
    }
  }

  /** Fills the transmitter's FIFO, which is empty. Interrupts are off. */
  sendSome(): void {
    const ring = this.sending;
    const before = ring.count;
    for (let sent: u32 = 0; sent < FIFO_DEPTH && ring.count > 0; sent++) portOut8(BASE, ring.take());
    portOut8(INTERRUPT_ENABLE, ring.count > 0 ? RECEIVED_INTERRUPT | TRANSMIT_INTERRUPT : RECEIVED_INTERRUPT);
    if (before !== ring.count) wake(ring.countAddress(), FOREVER);
  }

  write(buffer: InBytes, size: u32): HRESULT {
    const ring = this.sending;
    let done: u32 = 0;
    this.log.write(buffer, size);
    while (done < size) {
      // Read the caller's byte outside of the section: it may fault.
      const byte: u32 = load<u8>(buffer + done);
      this.driver.enterInterruptSafe();
      const full = ring.count === QUEUE;
      if (!full) ring.put(byte);
      // The transmit interrupt comes at once while the transmitter is empty.
      portOut8(INTERRUPT_ENABLE, RECEIVED_INTERRUPT | TRANSMIT_INTERRUPT);
      this.driver.leaveInterruptSafe();
      if (!full) done++;
      else if (waitOn(ring.countAddress(), QUEUE, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
    }
    return S_OK;
  }

  read(buffer: OutBytes, size: u32, count: Out<u32>): HRESULT {
    const ring = this.received;
    const cancelled = changetype<usize>(this) + offsetof<SerialPort>("readCancelled");
    while (true) {
      const seen = volatileLoad32(this.eventWord());
      if (volatileLoad32(ring.countAddress()) !== 0 || atomicExchange(cancelled, 0) !== 0) break;
      if (waitOn(this.eventWord(), seen, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
    }
    let done: u32 = 0;
    while (done < size && ring.count > 0) {
      this.driver.enterInterruptSafe();
      const byte = ring.take();
      this.driver.leaveInterruptSafe();
      store<u8>(buffer + done, <u8>byte);
      done++;
    }
    store<u32>(count, done);
    return S_OK;
  }

  cancelRead(): HRESULT {
    volatileStore32(changetype<usize>(this) + offsetof<SerialPort>("readCancelled"), 1);
    atomicAdd(this.eventWord(), 1);
    wake(this.eventWord(), FOREVER);
    return S_OK;
  }

  flush(): HRESULT {
    const address = this.sending.countAddress();
    while (true) {
      const left = volatileLoad32(address);
      if (left === 0) break;
      if (waitOn(address, left, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
    }
    // The last bytes are in the port's FIFO; no interrupt tells when they have left.
    while ((portIn8(LINE_STATUS) & TRANSMITTER_IDLE) === 0) yieldProcessor();
    return S_OK;
  }
}
