/**
 * Framing of the GDB remote serial protocol: `$data#checksum`, acknowledgements, the interrupt byte, and the encodings of data
 * inside packets. Source: Debugging with GDB, appendix E, "Overview" and "Packet Acknowledgment".
 *
 * Bytes in, events out; nothing here knows what a packet means. A packet longer than `LONGEST_PACKET` is dropped to its end.
 */

export type PacketEvent =
  | { readonly kind: "packet"; readonly data: Uint8Array }
  /** Wrong checksum or too long: to be asked for again. */
  | { readonly kind: "damaged" }
  | { readonly kind: "acknowledged" }
  | { readonly kind: "rejected" }
  /** Ctrl-C. */
  | { readonly kind: "interrupt" };

/** Bytes of data in one packet, in either direction; told to GDB as PacketSize. */
export const LONGEST_PACKET = 0x4000;

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const ESCAPE_MASK = 0x20;

export class PacketReader {
  #data: number[] | undefined;
  #checksum: string | undefined;

  /** Events in the order of the bytes; what is unfinished waits for more. */
  *read(bytes: Uint8Array): Generator<PacketEvent> {
    for (const byte of bytes) {
      const event = this.#next(byte);
      if (event) yield event;
    }
  }

  #next(byte: number): PacketEvent | undefined {
    if (this.#data === undefined) {
      if (byte === DOLLAR) this.#data = [];
      else if (byte === 0x2b) return { kind: "acknowledged" };
      else if (byte === 0x2d) return { kind: "rejected" };
      else if (byte === 3) return { kind: "interrupt" };
      return undefined;
    }
    if (this.#checksum === undefined) {
      if (byte === HASH) this.#checksum = "";
      else if (byte === DOLLAR) this.#data = [];
      else if (this.#data.length <= LONGEST_PACKET) this.#data.push(byte);
      return undefined;
    }
    this.#checksum += String.fromCharCode(byte);
    if (this.#checksum.length < 2) return undefined;
    const data = Uint8Array.from(this.#data);
    const intact =
      data.length <= LONGEST_PACKET && this.#checksum.toLowerCase() === hexadecimal(checksumOf(data), 2);
    this.#data = undefined;
    this.#checksum = undefined;
    return intact ? { kind: "packet", data } : { kind: "damaged" };
  }
}

function checksumOf(data: Uint8Array): number {
  let sum = 0;
  for (const byte of data) sum = (sum + byte) & 0xff;
  return sum;
}

/** The packet around text of single-byte characters. */
export function framePacket(text: string): Uint8Array {
  const data = bytesOfText(text);
  const end = hexadecimal(checksumOf(data), 2);
  return Uint8Array.of(DOLLAR, ...data, HASH, end.charCodeAt(0), end.charCodeAt(1));
}

/** Text whose characters are the bytes. */
export function textOfBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

export function hexadecimal(value: number, digits = 1): string {
  return (value >>> 0).toString(16).padStart(digits, "0");
}

export function hexOfBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexadecimal(byte, 2);
  return text;
}

/** Undefined when it is not a whole number of bytes in hexadecimal. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Takes escapes out of binary data. */
export function unescapeBinary(data: Uint8Array): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < data.length; i++) {
    if (data[i] === ESCAPE && i + 1 < data.length) bytes.push(data[++i] ^ ESCAPE_MASK);
    else bytes.push(data[i]);
  }
  return Uint8Array.from(bytes);
}

/** Text of single-byte characters with `#`, `$`, `*` and `}` escaped. */
export function escapeBinary(text: string): string {
  return text.replace(
    /[#$*}]/g,
    (character) => `}${String.fromCharCode(character.charCodeAt(0) ^ ESCAPE_MASK)}`,
  );
}
