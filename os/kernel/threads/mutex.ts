/**
 * The mutex of thread-level kernel code: one word (drawn in locks.ts), no trap while uncontended. Before threads run (boot, ring 0)
 * nothing is contended and the owner's id is 0, so a mark stands for it.
 */

import { panic } from "../epitaph";
import { checkMutex, checksOn } from "./probe-check";
import { currentThread } from "./thread";
import { LOCK_THROUGH, privateTrap, UNLOCK } from "./traps";
import { FOREVER, WAIT_CHANGED, WAIT_NOT_PRESENT } from "./wait";

/** Owner during boot: no thread has this id. */
const BOOT_OWNER: u32 = 0x7fffffff;

@unmanaged
export class Mutex {
  word: u32 = 0;

  acquire(): void {
    const address = changetype<usize>(this);
    if (checksOn) checkMutex(address);
    if (atomicCompareExchange(address, 0, ownerMark()) === 0) return;
    // Cancelling a thread does not end this wait: holders always go on, and the caller has things to put in order.
    let result: u32 = WAIT_NOT_PRESENT;
    while (result === WAIT_NOT_PRESENT) result = privateTrap(LOCK_THROUGH, <u32>address, 0, FOREVER);
    if (result === WAIT_CHANGED) panic(text("a thread takes a mutex that it has"));
  }

  release(): void {
    const address = changetype<usize>(this);
    const mark = ownerMark();
    if (atomicCompareExchange(address, mark, 0) === mark) return;
    if (privateTrap(UNLOCK, <u32>address, 0, 0) !== 0)
      panic(text("a thread gives back a mutex that it does not have"));
  }
}

function ownerMark(): u32 {
  const id = currentThread().id;
  return (id !== 0 ? id : BOOT_OWNER) << 1;
}
