/** The mean of a number over the time since it was first set, in cycles, and its peak. Changes come with interrupts off. */

@unmanaged
export class TimeMean {
  /** Sum over time of value × cycles, up to `changed`. */
  integral: u64 = 0;
  changed: u64 = 0;
  started: u64 = 0;
  value: u32 = 0;
  peak: u32 = 0;

  set(value: u32): void {
    const now = timeStamp();
    if (this.started === 0) {
      this.started = now;
      this.changed = now;
    }
    this.integral += <u64>this.value * (now - this.changed);
    this.changed = now;
    this.value = value;
    if (value > this.peak) this.peak = value;
  }

  /** In thousandths. */
  mean(): u32 {
    this.set(this.value);
    return <u32>(this.integral / ((timeStamp() - this.started) / 1000 + 1));
  }
}
export const TIME_MEAN: usize = 32;
