/** Bytes of a wasm binary in reading order. Every read is checked: running off the end is a `BuildError`. */
import { BuildError } from "../../contract.ts";

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly fileName: string;
  offset: number;
  end: number;

  constructor(bytes: Uint8Array, fileName: string, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.fileName = fileName;
    this.offset = offset;
    this.end = end;
  }

  fail(message: string): never {
    throw new BuildError(`malformed wasm at byte ${this.offset}: ${message}`, { file: this.fileName });
  }

  byte(): number {
    if (this.offset >= this.end) this.fail("unexpected end");
    return this.bytes[this.offset++];
  }

  unsigned(): number {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.byte();
      if (shift === 28 && (b & 0xf0) !== 0) this.fail("integer too large");
      result += (b & 0x7f) * 2 ** shift;
      if ((b & 0x80) === 0) return result;
    }
  }

  signed32(): number {
    const value = this.signedBits(32);
    return Number(BigInt.asIntN(32, value));
  }

  signed64(): bigint {
    return BigInt.asIntN(64, this.signedBits(64));
  }

  private signedBits(bits: number): bigint {
    let result = 0n;
    for (let shift = 0; ; shift += 7) {
      if (shift >= bits + 6) this.fail("integer too long");
      const b = this.byte();
      result |= BigInt(b & 0x7f) << BigInt(shift);
      if ((b & 0x80) === 0) {
        return (b & 0x40) !== 0 ? result - (1n << BigInt(shift + 7)) : result;
      }
    }
  }

  /** Little-endian bytes, as a view. */
  take(length: number): Uint8Array {
    if (length > this.end - this.offset) this.fail("unexpected end");
    const view = this.bytes.subarray(this.offset, this.offset + length);
    this.offset += length;
    return view;
  }

  float32(): number {
    const b = this.take(4);
    return new DataView(b.buffer, b.byteOffset, 4).getFloat32(0, true);
  }

  float64(): number {
    const b = this.take(8);
    return new DataView(b.buffer, b.byteOffset, 8).getFloat64(0, true);
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.unsigned()));
  }
}
