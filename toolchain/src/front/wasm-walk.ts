/** A cursor over a wasm binary, and a walk over the instructions of an expression that knows how long each one is. */

import { BuildError } from "../contract.ts";

export class WasmCursor {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    if (this.at >= this.bytes.length) throw new BuildError("the wasm binary ends in the middle of an item");
    return this.bytes[this.at++]!;
  }

  unsigned(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  /** Passes over a LEB128 number of any size. */
  skipNumber(): void {
    while (this.byte() >= 0x80) {
      // each byte but the last has its top bit set
    }
  }

  signed32(): number {
    let value = 0;
    let shift = 0;
    for (;;) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) return shift < 32 && byte & 0x40 ? value | (-1 << shift) : value;
    }
  }

  name(): string {
    const length = this.unsigned();
    const text = new TextDecoder().decode(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return text;
  }
}

export const OP_CALL = 0x10;
export const OP_GLOBAL_GET = 0x23;
export const OP_GLOBAL_SET = 0x24;
export const OP_I32_CONST = 0x41;

/**
 * Calls `use` with the opcode and offset of every instruction up to the `end` that closes the expression; the cursor stops
 * behind it. Immediates follow the opcode's byte.
 */
export function walkExpression(cursor: WasmCursor, use: (opcode: number, offset: number) => void): void {
  let depth = 0;
  for (;;) {
    const offset = cursor.at;
    const opcode = cursor.byte();
    use(opcode, offset);
    if (opcode === 0x0b) {
      if (depth-- === 0) return;
    } else if (opcode === 0x02 || opcode === 0x03 || opcode === 0x04) {
      depth++;
      cursor.skipNumber(); // block type
    } else skipImmediates(cursor, opcode);
  }
}

function skipImmediates(cursor: WasmCursor, opcode: number): void {
  if (opcode === 0x0c || opcode === 0x0d || (opcode >= 0x20 && opcode <= 0x26) || opcode === OP_CALL)
    cursor.skipNumber();
  else if (opcode === 0x0e) {
    for (let n = cursor.unsigned(); n >= 0; n--) cursor.skipNumber();
  } else if (opcode === 0x11 || (opcode >= 0x28 && opcode <= 0x3e)) {
    cursor.skipNumber(); // type index, or alignment
    cursor.skipNumber(); // table index, or offset
  } else if (opcode === 0x1c) {
    for (let n = cursor.unsigned(); n > 0; n--) cursor.byte();
  } else if (opcode === 0x3f || opcode === 0x40 || opcode === OP_I32_CONST || opcode === 0x42)
    cursor.skipNumber();
  else if (opcode === 0x43) cursor.at += 4;
  else if (opcode === 0x44) cursor.at += 8;
  else if (opcode === 0xfc) {
    const second = cursor.unsigned();
    if (second <= 7) return; // saturating conversions
    if (second === 8 || second === 10) {
      cursor.skipNumber();
      cursor.skipNumber();
    } else if (second === 9 || second === 11) cursor.skipNumber();
    else throw new BuildError(`the wasm binary has an instruction 0xfc ${second} that the dialect lacks`);
  } else if (opcode >= 0xd0)
    throw new BuildError(
      `the wasm binary has an instruction 0x${opcode.toString(16)} that the dialect lacks`,
    );
}
