/** Reads the source map that Binaryen writes: base-64 VLQ, one line, whose columns are byte offsets of the wasm binary. */

import { BuildError } from "../contract.ts";

/** Parallel arrays, ascending by offset; a source of -1 ends a mapped range. Lines and columns count from 0. */
export interface DecodedMap {
  readonly sources: readonly string[];
  readonly offsets: Uint32Array;
  readonly sourceIndices: Int32Array;
  readonly lines: Int32Array;
  readonly columns: Int32Array;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitValues = new Int8Array(128).fill(-1);
for (let i = 0; i < digits.length; i++) digitValues[digits.charCodeAt(i)] = i;

export function decodeSourceMap(json: string): DecodedMap {
  const map = JSON.parse(json) as { sources: string[]; mappings: string };
  const segments = map.mappings.split(",");
  const count = map.mappings === "" ? 0 : segments.length;
  const offsets = new Uint32Array(count);
  const sourceIndices = new Int32Array(count);
  const lines = new Int32Array(count);
  const columns = new Int32Array(count);
  let offset = 0;
  let source = 0;
  let line = 0;
  let column = 0;
  for (let i = 0; i < count; i++) {
    const fields = decodeSegment(segments[i]!);
    offset += fields[0]!;
    offsets[i] = offset;
    if (fields.length < 4) {
      sourceIndices[i] = -1;
      continue;
    }
    source += fields[1]!;
    line += fields[2]!;
    column += fields[3]!;
    sourceIndices[i] = source;
    lines[i] = line;
    columns[i] = column;
  }
  return { sources: map.sources, offsets, sourceIndices, lines, columns };
}

function decodeSegment(segment: string): number[] {
  const fields: number[] = [];
  let value = 0;
  let shift = 0;
  for (let i = 0; i < segment.length; i++) {
    const digit = digitValues[segment.charCodeAt(i)] ?? -1;
    if (digit < 0) throw new BuildError(`source map: "${segment[i]}" is no base-64 digit`);
    value += (digit & 31) * 2 ** shift;
    if (digit & 32) shift += 5;
    else {
      fields.push(value % 2 === 1 ? -Math.floor(value / 2) : value / 2);
      value = 0;
      shift = 0;
    }
  }
  return fields;
}

/** Index of the entry that covers `offset`, or -1. */
export function findMapping(map: DecodedMap, offset: number): number {
  let low = 0;
  let high = map.offsets.length - 1;
  if (high < 0 || map.offsets[0]! > offset) return -1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (map.offsets[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
