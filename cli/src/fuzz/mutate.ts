/** Changes of an input that are likely to matter to a reader of binary or line formats. */
import type { Random } from "./random.ts";

export const LONGEST_INPUT = 1 << 19;

const BYTES = [0, 1, 0x0a, 0x20, 0x22, 0x7f, 0x80, 0xff];
const WORDS = [
  0, 1, 2, 3, 4, 0xff, 0xfff, 0x1000, 0xffff, 0x10_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];
const NUMBERS = [
  "0",
  "1",
  "-1",
  "1e308",
  "9007199254740991",
  "9007199254740993",
  "0.5",
  "null",
  '""',
  "[]",
  "{}",
];

type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

function edited(bytes: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  change(copy);
  return copy;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.subarray(0, LONGEST_INPUT);
}

/** Places near the beginning, where headers are, are as likely as all others together. */
function place(length: number, random: Random): number {
  return random.below(random.below(2) === 0 ? Math.min(length, 256) : length);
}

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => edited(bytes, (copy) => (copy[place(copy.length, random)] ^= 1 << random.below(8))),
  (bytes, random) => edited(bytes, (copy) => (copy[place(copy.length, random)] = random.pick(BYTES))),
  (bytes, random) => {
    if (bytes.length < 4) return bytes;
    return edited(bytes, (copy) => {
      const at = place(copy.length - 3, random) & (random.below(4) === 0 ? -1 : -4);
      const view = new DataView(copy.buffer);
      const values = [random.pick(WORDS), copy.length, view.getUint32(at, true) + random.below(9) - 4];
      view.setUint32(at, random.pick(values), true);
    });
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  (bytes, random) => {
    const [from, to, length] = [
      place(bytes.length, random),
      place(bytes.length, random),
      1 + random.below(64),
    ];
    return edited(bytes, (copy) => copy.copyWithin(to, from, from + length));
  },
  (bytes, random) => {
    const at = place(bytes.length, random);
    return join(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(32)));
  },
  (bytes, random, other) => {
    const [at, from] = [place(bytes.length, random), place(other.length, random)];
    return join(bytes.subarray(0, at), other.subarray(from, from + random.below(256)), bytes.subarray(at));
  },
  (bytes, random) => {
    // A number of a text becomes another, or something else.
    const text = new TextDecoder("latin1").decode(bytes.subarray(0, 4096));
    const numbers = [...text.matchAll(/-?\d+/g)];
    if (numbers.length === 0) return bytes;
    const [found] = [random.pick(numbers)];
    const value = new TextEncoder().encode(random.pick(NUMBERS));
    return join(bytes.subarray(0, found.index), value, bytes.subarray(found.index + found[0].length));
  },
];

/** One, two, four or eight changes. */
export function mutate(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let changed = bytes;
  for (let count = 1 << random.below(4); count > 0 && changed.length > 0; count--) {
    changed = random.pick(MUTATIONS)(changed, random, other.length > 0 ? other : bytes);
  }
  return changed;
}

type Parent = Record<string, unknown> | unknown[];

const VALUES: readonly unknown[] = [
  0,
  1,
  -1,
  0.5,
  255,
  256,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  1e308,
  null,
  "",
  "0",
  true,
  [],
  {},
];

/** One value of a JSON document, however deep, becomes another or goes. Bytes that are no JSON stay. */
export function mutateJson(bytes: Uint8Array, random: Random): Uint8Array {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return bytes;
  }
  const parents: Parent[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    parents.push(value as Parent);
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(document);
  if (parents.length > 0) changeOne(random.pick(parents), random);
  return new TextEncoder().encode(JSON.stringify(document)).slice(0, LONGEST_INPUT);
}

function changeOne(parent: Parent, random: Random): void {
  const keys = Object.keys(parent);
  if (Array.isArray(parent) && random.below(4) === 0) {
    if (random.below(2) === 0) parent.splice(random.below(parent.length + 1), 1);
    else parent.push(parent[random.below(parent.length + 1)] ?? random.pick(VALUES));
    return;
  }
  if (keys.length === 0) return;
  const record = parent as Record<string, unknown>;
  const key = random.pick(keys);
  const value = record[key];
  if (typeof value === "number")
    record[key] = random.pick([...VALUES, value + 1, value - 1, -value, value * 2]);
  else if (random.below(8) === 0 && !Array.isArray(parent)) delete record[key];
  else record[key] = random.pick([...VALUES, record[random.pick(keys)]]);
}
