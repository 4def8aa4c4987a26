/** A growing little-endian byte buffer: what every writer of this folder fills. */

export class ByteWriter {
  private buffer = new Uint8Array(256);
  private view = new DataView(this.buffer.buffer);
  length = 0;

  private reserve(count: number): number {
    const start = this.length;
    const end = start + count;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(end, this.buffer.length * 2));
      larger.set(this.buffer.subarray(0, start));
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length = end;
    return start;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.reserve(2);
    this.view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.view.setUint32(at, value >>> 0, true);
  }

  bytes(values: ArrayLike<number>): void {
    const at = this.reserve(values.length);
    this.buffer.set(values, at);
  }

  fill(count: number, value = 0): void {
    const at = this.reserve(count);
    this.buffer.fill(value, at, at + count);
  }

  /** Pads with `value` to a multiple of `alignment`. */
  align(alignment: number, value = 0): void {
    this.fill(alignUp(this.length, alignment) - this.length, value);
  }

  /** NUL-terminated UTF-8. */
  string(text: string): void {
    this.bytes(new TextEncoder().encode(text));
    this.u8(0);
  }

  /** DWARF's unsigned LEB128. */
  unsigned(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  /** DWARF's signed LEB128, for 32-bit values. */
  signed(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.u8(low);
        return;
      }
      this.u8(low | 0x80);
    }
  }

  setU32(at: number, value: number): void {
    this.view.setUint32(at, value >>> 0, true);
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** An ELF or DWARF string table: offset 0 is the empty string, equal strings share one entry. */
export class StringTable {
  private readonly writer = new ByteWriter();
  private readonly offsets = new Map<string, number>();

  constructor() {
    this.offset("");
  }

  offset(text: string): number {
    let offset = this.offsets.get(text);
    if (offset === undefined) {
      offset = this.writer.length;
      this.offsets.set(text, offset);
      this.writer.string(text);
    }
    return offset;
  }

  finish(): Uint8Array {
    return this.writer.finish();
  }
}
