/**
 * A guest of which nothing is known but its processor: what runs under one page directory counts as one thread of one process. A switch
 * is seen where the processor leaves ring 0 with another directory than before.
 */
import type { TracedThread } from "./events.ts";
import type { GuestView } from "./guest-view.ts";

export class AddressSpaceView implements GuestView {
  readonly #processor: { readonly cr3: number };
  /** Numbers of directories, in the order in which they were seen. */
  readonly #numbers = new Map<number, number>();

  constructor(processor: { readonly cr3: number }) {
    this.#processor = processor;
  }

  /** The directory's address; 0 before paging. */
  current(): number {
    return this.#processor.cr3 & ~0xfff;
  }

  thread(directory: number): TracedThread {
    if (directory === 0) return { id: 0, process: 0, name: "kernel" };
    let number = this.#numbers.get(directory);
    if (number === undefined) {
      number = this.#numbers.size + 1;
      this.#numbers.set(directory, number);
    }
    return { id: number, process: number, name: `space 0x${(directory >>> 0).toString(16)}` };
  }

  isOver(): boolean {
    return false;
  }

  trap(): undefined {
    return undefined;
  }

  serverCall(): undefined {
    return undefined;
  }
}
