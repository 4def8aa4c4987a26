/**
 * A learning Ethernet switch (IEEE 802.1D, 7.7 and 7.8): frames for an address that was seen at a port go to that port alone, all others
 * to every port but the one they came from. It has no time of its own: `send` hands frames on at once.
 */
import { FRAME_HEADER } from "./frame.ts";

/** Sends a frame into the switch. */
export interface SwitchPort {
  send(frame: Uint8Array): void;
  disconnect(): void;
}

/** Addresses that a switch remembers; the one that was silent longest makes room. */
const ADDRESSES = 1024;
const ADDRESS_BYTES = 6;

/** A station's address as a number of 48 bits. */
function addressAt(frame: Uint8Array, offset: number): number {
  let address = 0;
  for (let i = 0; i < ADDRESS_BYTES; i++) address = address * 256 + frame[offset + i]!;
  return address;
}

export class EthernetSwitch {
  readonly #ports = new Set<(frame: Uint8Array) => void>();
  readonly #places = new Map<number, (frame: Uint8Array) => void>();

  /** `deliver` gets the frames that leave by the new port. */
  connect(deliver: (frame: Uint8Array) => void): SwitchPort {
    this.#ports.add(deliver);
    return {
      send: (frame) => this.#forward(frame, deliver),
      disconnect: () => {
        this.#ports.delete(deliver);
        for (const [address, place] of this.#places) if (place === deliver) this.#places.delete(address);
      },
    };
  }

  #forward(frame: Uint8Array, from: (frame: Uint8Array) => void): void {
    if (frame.length < FRAME_HEADER || !this.#ports.has(from)) return;
    this.#learn(addressAt(frame, ADDRESS_BYTES), frame[ADDRESS_BYTES]!, from);
    const place = frame[0]! & 1 ? undefined : this.#places.get(addressAt(frame, 0));
    if (place === from) return;
    if (place) place(frame);
    else for (const port of [...this.#ports]) if (port !== from) port(frame);
  }

  /** Group addresses send nothing: bit 0 of the first byte marks one. */
  #learn(address: number, firstByte: number, from: (frame: Uint8Array) => void): void {
    if (firstByte & 1) return;
    // A map keeps the order of insertion: the first is the one silent longest.
    this.#places.delete(address);
    this.#places.set(address, from);
    const [oldest] = this.#places.keys();
    if (this.#places.size > ADDRESSES && oldest !== undefined) this.#places.delete(oldest);
  }
}
