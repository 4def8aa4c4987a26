/**
 * The clock's object. The handler alone changes `count`; threads wait on it. The chip's two ports (register number, then value) belong
 * together, so threads use them inside interrupt-safe sections only.
 */

import type { IDriver } from "../../interfaces/IDriver";
import type { ITimer } from "../../interfaces/ITimer";
import { E_CANCELLED, E_DISCONNECTED, E_INVALIDARG, E_TIMEOUT, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { FOREVER, WAIT_CANCELLED, WAIT_TIMED_OUT, waitOn, wake } from "../../lib/rt/wait";

const INDEX: u32 = 0x70;
const VALUE: u32 = 0x71;
// Registers (MC146818 data sheet): A holds the rate, B what may interrupt, C what has, which reading acknowledges.
const REGISTER_A: u32 = 0x0a;
const REGISTER_B: u32 = 0x0b;
const REGISTER_C: u32 = 0x0c;
const PERIODIC: u32 = 0x40;
const RATE_MASK: u32 = 0x0f;
/** Ticks in a second are CRYSTAL >> (rate - 1). */
const CRYSTAL: u32 = 32768;
const FASTEST: u32 = 8192;
const SLOWEST: u32 = 2;
const FIRST_RATE: u32 = 1024;

function readRegister(register: u32): u32 {
  portOut8(INDEX, register);
  return portIn8(VALUE);
}

function writeRegister(register: u32, value: u32): void {
  portOut8(INDEX, register);
  portOut8(VALUE, value);
}

@unmanaged
export class ClockTimer extends ComObject implements ITimer {
  driver: IDriver = changetype<IDriver>(0);
  count: u32 = 0;
  ticksPerSecond: u32 = 0;
  /** The driver ends: nobody waits any more. */
  ending: u32 = 0;

  countAddress(): usize {
    return changetype<usize>(this) + offsetof<ClockTimer>("count");
  }

  start(): void {
    this.setRate(FIRST_RATE);
    this.driver.enterInterruptSafe();
    writeRegister(REGISTER_B, readRegister(REGISTER_B) | PERIODIC);
    readRegister(REGISTER_C);
    this.driver.leaveInterruptSafe();
  }

  stop(): void {
    this.driver.enterInterruptSafe();
    writeRegister(REGISTER_B, readRegister(REGISTER_B) & ~PERIODIC);
    readRegister(REGISTER_C);
    this.ending = 1;
    // A waiter that has looked at `ending` but does not wait yet must find another count.
    this.count++;
    this.driver.leaveInterruptSafe();
    wake(this.countAddress(), FOREVER);
  }

  /** First-level handler: until the cause is read, the chip asks for nothing more. */
  interrupt(): void {
    if ((readRegister(REGISTER_C) & PERIODIC) === 0) return;
    this.count++;
    wake(this.countAddress(), FOREVER);
  }

  setRate(ticksPerSecond: u32): HRESULT {
    if (ticksPerSecond < SLOWEST || ticksPerSecond > FASTEST || popcnt<u32>(ticksPerSecond) !== 1)
      return E_INVALIDARG;
    const rate = <u32>ctz<u32>(CRYSTAL) - <u32>ctz<u32>(ticksPerSecond) + 1;
    this.driver.enterInterruptSafe();
    writeRegister(REGISTER_A, (readRegister(REGISTER_A) & ~RATE_MASK) | rate);
    this.ticksPerSecond = ticksPerSecond;
    this.driver.leaveInterruptSafe();
    return S_OK;
  }

  rate(ticksPerSecond: Out<u32>): HRESULT {
    store<u32>(ticksPerSecond, this.ticksPerSecond);
    return S_OK;
  }

  ticks(count: Out<u32>): HRESULT {
    store<u32>(count, volatileLoad32(this.countAddress()));
    return S_OK;
  }

  wait(seen: u32, timeout: u32, count: Out<u32>): HRESULT {
    const word = this.countAddress();
    while (volatileLoad32(word) === seen && this.ending === 0) {
      const result = waitOn(word, seen, timeout);
      if (result === WAIT_CANCELLED) return E_CANCELLED;
      if (result === WAIT_TIMED_OUT) return E_TIMEOUT;
    }
    if (this.ending !== 0) return E_DISCONNECTED;
    store<u32>(count, volatileLoad32(word));
    return S_OK;
  }
}
