/** Changes of a fuzz input that are likely to make a processor do something else. */
import { readInstruction } from "../../i386/instruction-reader.ts";
import { instructions } from "../../i386/table.ts";
import * as layout from "../instructions/layout.ts";
import { CASE_DESCRIPTORS } from "../instructions/layout.ts";
import type { Random } from "../instructions/random.ts";
import { type FuzzInput, roomOf } from "./fuzz-input.ts";
import { anyDescriptor } from "./system-inputs.ts";

/** Arithmetic flags and DF; AC. Linux sets no others when it returns to a case. */
const CHANGEABLE_FLAGS = [0x1, 0x4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x4_0000];
const PREFIXES = [0x66, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64];
const CORNER_BYTES = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x1f, 0x20, 0x21];

type Mutation = (input: FuzzInput, random: Random, other: FuzzInput) => FuzzInput;

/** Offsets at which instructions begin, the end included, reading from the beginning. */
export function boundaries(code: Uint8Array): number[] {
  const offsets = [0];
  for (let at = 0; at < code.length; ) {
    at += readInstruction(code, at)?.length ?? 1;
    offsets.push(Math.min(at, code.length));
  }
  return offsets;
}

function withCode(input: FuzzInput, code: Uint8Array): FuzzInput {
  return { ...input, code: code.slice(0, roomOf(input.x87)) };
}

const joined = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

function edited(bytes: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  if (copy.length > 0) change(copy);
  return copy;
}

/** A value that matters: a corner, any, or a pointer to where cases have something. */
function value(random: Random): number {
  if (random.chance(1, 2)) return random.operand();
  const size = random.pick([1, 2, 4, 8]);
  return random.pick([
    layout.WINDOW_A + random.below(layout.WINDOW_A_SIZE - 8),
    layout.WINDOW_B + random.below(layout.WINDOW_B_SIZE),
    layout.DATA + 0x1000 - random.below(size + 1),
    layout.DATA_END - random.below(size + 1),
    layout.READ_ONLY + random.below(64),
    layout.CODE + random.below(layout.SLOT_SIZE - 16),
  ]);
}

/** Opcode bytes of a row; x87 rows only where the x87 is loaded. */
function anyOpcode(random: Random, x87: boolean): number[] {
  const isX87 = (opcode: number) => opcode >= 0xd8 && opcode <= 0xdf;
  const rows = instructions.filter((row) => row.number > 0 && (row.twoByte || isX87(row.opcode) === x87));
  const row = random.pick(rows);
  const opcode = row.opcode + (row.opcodeRegister ? random.below(8) : 0);
  const modrm =
    row.fixedModrm >= 0
      ? [row.fixedModrm]
      : row.digit >= 0
        ? [(random.below(256) & 0xc7) | (row.digit << 3)]
        : row.modrm
          ? [random.below(256)]
          : [];
  return [...(row.twoByte ? [0x0f] : []), opcode, ...modrm];
}

const MUTATIONS: readonly Mutation[] = [
  (input, random) =>
    withCode(
      input,
      edited(input.code, (copy) => (copy[random.below(copy.length)]! ^= 1 << random.below(8))),
    ),
  (input, random) =>
    withCode(
      input,
      edited(input.code, (copy) => {
        copy[random.below(copy.length)] = random.chance(1, 2) ? random.pick(CORNER_BYTES) : random.below(256);
      }),
    ),
  // A prefix, an instruction less, another opcode.
  (input, random) => {
    const at = random.pick(boundaries(input.code));
    return withCode(
      input,
      joined(input.code.subarray(0, at), Uint8Array.of(random.pick(PREFIXES)), input.code.subarray(at)),
    );
  },
  (input, random) => {
    const starts = boundaries(input.code);
    const index = random.below(starts.length);
    return withCode(
      input,
      joined(
        input.code.subarray(0, starts[index]),
        input.code.subarray(starts[index + 1] ?? input.code.length),
      ),
    );
  },
  (input, random) => {
    const at = random.pick(boundaries(input.code));
    const opcode = Uint8Array.from(anyOpcode(random, input.x87 && random.chance(3, 4)));
    const skipped = random.chance(1, 2) ? opcode.length : 0;
    return withCode(input, joined(input.code.subarray(0, at), opcode, input.code.subarray(at + skipped)));
  },
  // Code of another behind or before its own.
  (input, _, other) => withCode(input, joined(input.code, other.code)),
  (input, _, other) => withCode(input, joined(other.code, input.code)),
  (input, random, other) => {
    const [cut, from] = [random.pick(boundaries(input.code)), random.pick(boundaries(other.code))];
    return withCode(input, joined(input.code.subarray(0, cut), other.code.subarray(from)));
  },
  // State.
  (input, random) => {
    const registers = input.registers.slice();
    registers[random.below(8)] = value(random);
    return { ...input, registers };
  },
  (input, random) => {
    const registers = input.registers.slice();
    registers[random.below(8)]! += random.pick([-4, -1, 1, 4, 16, -16]);
    return { ...input, registers };
  },
  (input, random, other) => {
    const registers = input.registers.map((register, i) =>
      random.chance(1, 2) ? register : other.registers[i]!,
    );
    return { ...input, registers };
  },
  (input, random) => ({ ...input, eflags: input.eflags ^ random.pick(CHANGEABLE_FLAGS) }),
  (input, random) => {
    const memory = input.memory.slice();
    new DataView(memory.buffer).setUint32(random.below(memory.length / 4) * 4, value(random), true);
    return { ...input, memory };
  },
  (input, random) => {
    // What the stack pointer and the other pointers lead to.
    const at = layout.memoryIndex(random.pick([...input.registers]) >>> 0);
    const memory = input.memory.slice();
    if (at >= 0 && at + 4 <= memory.length) new DataView(memory.buffer).setUint32(at, value(random), true);
    return { ...input, memory };
  },
];

const DESCRIPTOR_MUTATION: Mutation = (input, random) => {
  if (!input.descriptors) return input;
  const descriptors = input.descriptors.slice();
  const at = 8 * random.below(CASE_DESCRIPTORS);
  // Another one, other access, another limit.
  const kind = random.below(4);
  if (kind < 2) descriptors.set(anyDescriptor(random), at);
  else if (kind === 2) descriptors[at + 5]! ^= random.pick([0x80, 0x60, 0x20, 0x40, 2, 4]);
  else descriptors[at + random.below(2)] = random.below(256);
  return { ...input, descriptors };
};

/** A changed input; `other` is one to take parts of. Of x87 inputs the other must be one too, and the reverse. */
export function mutateInput(input: FuzzInput, random: Random, other: FuzzInput): FuzzInput {
  let changed = input;
  for (let times = 1 + random.below(3); times > 0; times--)
    changed = (input.descriptors && random.chance(1, 3) ? DESCRIPTOR_MUTATION : random.pick(MUTATIONS))(
      changed,
      random,
      other,
    );
  return changed;
}
