/**
 * The machine's clock: a queue of calls to be made at given cycles. The processor supplies the current cycle and fires what
 * is due at instruction boundaries; devices only read `now`, schedule and cancel.
 *
 * Order is total and reproducible: by cycle, then by order of the `schedule` calls. An event scheduled for a cycle that has
 * passed fires at the next boundary. An event may schedule further events; those that are due fire in the same sweep.
 */

import type { Clock, ClockEvent, SavedEvent } from "./contract.ts";

/** Where the clock gets the current cycle, and whom it tells that a deadline came nearer. */
export interface TimeSource {
  readonly now: number;
  /** An event now stands before all others: the source must look at `nextCycle` before it goes on. */
  deadlineMoved(): void;
}

interface QueuedEvent extends ClockEvent {
  readonly action: () => void;
  cancelled: boolean;
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.cycle < b.cycle || (a.cycle === b.cycle && a.order < b.order);
}

export class EventClock implements Clock {
  readonly frequency: number;
  /** Binary heap, earliest event first. */
  private readonly heap: QueuedEvent[] = [];
  private sequence = 0;
  private source: TimeSource = { now: 0, deadlineMoved: () => {} };

  /** `frequency`: processor cycles in one second of guest time; a Pentium 75 has 75,000,000. */
  constructor(frequency = 75_000_000) {
    this.frequency = frequency;
  }

  /** Called once by the processor that drives this clock. */
  drivenBy(source: TimeSource): void {
    this.source = source;
  }

  get now(): number {
    return this.source.now;
  }

  /** Cycle of the earliest event, or Infinity. */
  get nextCycle(): number {
    this.dropCancelled();
    const first = this.heap[0];
    return first === undefined ? Number.POSITIVE_INFINITY : first.cycle;
  }

  schedule(cycle: number, action: () => void): ClockEvent {
    if (!(cycle < Number.POSITIVE_INFINITY))
      throw new RangeError(`cannot schedule an event at cycle ${cycle}`);
    return this.queue({ cycle, order: this.sequence++, action, cancelled: false });
  }

  resume({ cycle, order }: SavedEvent, action: () => void): ClockEvent {
    return this.queue({ cycle, order, action, cancelled: false });
  }

  /** Number of `schedule` calls so far: with the pending events, all that a snapshot needs of the clock. */
  get scheduled(): number {
    return this.sequence;
  }

  /** Drops all events and goes on counting at `scheduled`; their owners then `resume` what they had. */
  restart(scheduled: number): void {
    for (const event of this.heap) event.cancelled = true;
    this.heap.length = 0;
    this.sequence = scheduled;
    this.source.deadlineMoved();
  }

  private queue(event: QueuedEvent): ClockEvent {
    this.siftUp(event);
    if (this.heap[0] === event) this.source.deadlineMoved();
    return event;
  }

  cancel(event: ClockEvent): void {
    (event as QueuedEvent).cancelled = true;
  }

  /** Fires every event whose cycle is at or before `now`. */
  fireDue(): void {
    for (;;) {
      this.dropCancelled();
      const first = this.heap[0];
      if (first === undefined || first.cycle > this.source.now) return;
      this.removeFirst();
      // A fired event counts as cancelled, so that a late `cancel` of it is harmless.
      first.cancelled = true;
      first.action();
    }
  }

  private dropCancelled(): void {
    while (this.heap.length > 0 && this.heap[0]!.cancelled) this.removeFirst();
  }

  private siftUp(event: QueuedEvent): void {
    const heap = this.heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  private removeFirst(): void {
    const heap = this.heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
