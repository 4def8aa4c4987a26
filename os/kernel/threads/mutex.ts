/**
 * The mutex of thread-level kernel code: one word, no trap while uncontended. 0 free, 1 held, 2 held and perhaps waited for.
 * Before threads run (boot, ring 0) nothing is contended, so the same code serves.
 */

import { waitUninterruptibly, wake } from "./wait";

@unmanaged
export class Mutex {
  state: u32 = 0;

  acquire(): void {
    const address = changetype<usize>(this);
    if (atomicCompareExchange(address, 0, 1) === 0) return;
    while (atomicExchange(address, 2) !== 0) waitUninterruptibly(address, 2);
  }

  release(): void {
    const address = changetype<usize>(this);
    if (atomicExchange(address, 0) === 2) wake(address, 1);
  }
}
