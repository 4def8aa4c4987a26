/** Floating-point constants of an image's code: read-only data behind the last function, symbol "$constants". */

export const constantsSymbol = "$constants";

export class ConstantPool {
  private readonly offsets = new Map<string, number>();
  private readonly data: number[] = [];

  /** Offset in the pool of these bytes. */
  place(bytes: Uint8Array): number {
    const key = bytes.join();
    let offset = this.offsets.get(key);
    if (offset === undefined) {
      while (this.data.length % (bytes.length > 8 ? 4 : bytes.length) !== 0) this.data.push(0);
      offset = this.data.length;
      this.data.push(...bytes);
      this.offsets.set(key, offset);
    }
    return offset;
  }

  float32(value: number): number {
    return this.place(new Uint8Array(new Float32Array([value]).buffer));
  }

  float64(value: number): number {
    return this.place(new Uint8Array(new Float64Array([value]).buffer));
  }

  get bytes(): readonly number[] {
    return this.data;
  }
}
