/**
 * Inputs about segments: three descriptors of any kind in the GDT, and code at ring 3 that loads, tests, uses and goes through them. Bases are
 * zero, so that pointers mean what they mean elsewhere; code and stack segments are of 32 bits, the only ones that the machine has.
 */
import { little } from "../instructions/builder.ts";
import * as layout from "../instructions/layout.ts";
import type { Random } from "../instructions/random.ts";
import type { FuzzInput } from "./fuzz-input.ts";

/** Where `gateway` of the bare harness is: behind the multiboot header. */
export const GATEWAY = layout.HARNESS + 12;
const PRESENT = 0x80;
const BIG = 0x40;
const GRANULAR = 0x80;
/** Reserved, local table, call gate, interrupt and trap gates. Task states and 16-bit gates lead out of what a case can be. */
const SYSTEM_TYPES = [0x0, 0x2, 0x8, 0xa, 0xd, 0xc, 0xc, 0xc, 0xe, 0xf];
const [ES, SS, DS, FS, GS] = [0, 2, 3, 4, 5] as const;
const OVERRIDES: Readonly<Record<number, number>> = {
  [ES]: 0x26,
  [SS]: 0x36,
  [DS]: 0x3e,
  [FS]: 0x64,
  [GS]: 0x65,
};

const selectorOf = (random: Random): number =>
  random.chance(1, 12)
    ? random.pick([0, 3, layout.USER_DATA, layout.USER_CODE, 0x08, 0x10])
    : layout.CASE_SELECTORS + 8 * random.below(layout.CASE_DESCRIPTORS) + random.pick([3, 3, 3, 0, 1, 2]);

function gate(random: Random, access: number): number[] {
  const selector = random.pick([0x08, 0x08, 0x08, 0x0b, 0, layout.USER_CODE, selectorOf(random)]);
  const words = random.chance(3, 4) ? random.below(4) : random.below(32);
  return [...little(GATEWAY, 2), ...little(selector, 2), words, access, ...little(GATEWAY >>> 16, 2)];
}

function segment(random: Random, access: number): number[] {
  const [limit, granular] = random.pick([
    [0xfffff, GRANULAR],
    [0xfffff, GRANULAR],
    [0x800, GRANULAR],
    [0x801, GRANULAR],
    [(layout.WINDOW_A + random.below(layout.WINDOW_A_SIZE)) >>> 12, GRANULAR],
    [random.below(0x100000), 0],
    [0, 0],
  ] as const);
  return [...little(limit, 2), 0, 0, 0, access, BIG | granular | (limit >>> 16), 0];
}

/** Eight bytes. */
export function anyDescriptor(random: Random): number[] {
  const privilege = random.pick([3, 3, 3, 0, 1, 2]) << 5;
  const present = random.chance(7, 8) ? PRESENT : 0;
  const isSystem = random.chance(1, 3);
  const type = isSystem ? random.pick(SYSTEM_TYPES) : 0x10 | random.below(16);
  const access = present | privilege | type;
  return type === 0xc || type === 0xe || type === 0xf ? gate(random, access) : segment(random, access);
}

const place = (random: Random): number =>
  random.pick([layout.WINDOW_A + random.below(500), layout.WINDOW_B + random.below(60), layout.DATA + 0xfff]);

/** Loads a segment register, and uses it. */
function loadAndUse(random: Random): number[] {
  const register = random.pick([ES, SS, DS, FS, GS]);
  const load = [0x66, 0xb8, ...little(selectorOf(random), 2), 0x8e, 0xc0 | (register << 3)];
  if (register === SS && random.chance(1, 2)) return [...load, 0x50, 0x58];
  const access = random.pick([[0xa1], [0xa3], [0xa0], [0xa2], [0x66, 0xa1], [0x66, 0xa3]]);
  return [...load, OVERRIDES[register]!, ...access, ...little(place(random), 4)];
}

/** LAR, LSL, VERR, VERW. */
function test(random: Random): number[] {
  const load = [0xb8, ...little(selectorOf(random), 4)];
  return [
    ...load,
    ...random.pick([
      [0x66, 0x0f, 0x02, 0xc8],
      [0x0f, 0x03, 0xc8],
      [0x0f, 0x00, 0xe0],
      [0x0f, 0x00, 0xe8],
    ]),
  ];
}

/** JMP, CALL, RETF, IRET to the instructions behind, or through a gate. */
function transfer(random: Random, at: number): number[] {
  const target = (length: number) => little(layout.CODE + layout.SLOT_ENTRY + at + length, 4);
  const selector = little(selectorOf(random), 2);
  const push = [0x68, ...selector, 0, 0];
  switch (random.below(4)) {
    case 0:
      return [0xea, ...target(7), ...selector];
    case 1:
      return [0x9a, ...target(7), ...selector];
    case 2:
      return [...push, 0x68, ...target(11), 0xcb];
    default:
      return [0x9c, ...push, 0x68, ...target(12), 0xcf];
  }
}

export function systemInput(random: Random): FuzzInput {
  let code: number[] = [];
  while (code.length < 16) {
    const kind = random.below(5);
    const more = kind < 2 ? loadAndUse(random) : kind === 2 ? test(random) : transfer(random, code.length);
    code = [...code, ...more];
    if (random.chance(1, 2)) break;
  }
  const registers = Int32Array.from({ length: 8 }, () => random.operand());
  registers[4] = layout.WINDOW_A + 400;
  const descriptors = Uint8Array.from(
    Array.from({ length: layout.CASE_DESCRIPTORS }, () => anyDescriptor(random)).flat(),
  );
  const memory = Uint8Array.from({ length: layout.MEMORY_SIZE }, () => random.below(256));
  return { code: Uint8Array.from(code), registers, eflags: 0x202, memory, x87: false, descriptors };
}
