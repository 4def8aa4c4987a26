/**
 * Cases for the x87: FRSTOR of an image in window A, the instruction, FNSAVE over the image. The image's instruction and
 * data pointers are not compared (current processors store no selectors), and neither are the values of transcendental
 * functions, whose last bits Intel does not define; `x87` has its own tests of those.
 */
import type { Instruction } from "../../i386/instruction.ts";
import { instructions } from "../../i386/table.ts";
import { CaseBuilder, little } from "./builder.ts";
import { type InstructionCase, slotAddress } from "./case.ts";
import * as layout from "./layout.ts";
import { Random } from "./random.ts";

const IMAGE_SIZE = 108;
const REGISTERS = 28;
const REPETITIONS = 24;
/** FNINIT (the last case may have left an exception pending), FRSTOR [window A]. */
export const LOAD_IMAGE: readonly number[] = [0xdb, 0xe3, 0xdd, 0x25, ...little(layout.WINDOW_A, 4)];
/** FNSAVE [window A]. */
export const SAVE_IMAGE: readonly number[] = [0xdd, 0x35, ...little(layout.WINDOW_A, 4)];
/** The environment's loads and stores are the frame around every case; FWAIT is behind some. */
const framing = new Set(["fnsave", "frstor", "fwait"]);
const transcendental = /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/;
const setsConditions = /^(fi?comp?p?|fu?comp?p?|ftst|fxam|fprem1?)$/;

/** Mantissas worth trying: powers of two, all ones, any. */
function extended(random: Random): number[] {
  const sign = random.chance(1, 2) ? 0x8000 : 0;
  const mantissa = random.pick([
    [0, 0x80000000],
    [0, 0xc0000000],
    [0xffffffff, 0xffffffff],
    [random.bits(), random.bits() | 0x80000000],
    [0, (random.below(256) << 23) | 0x80000000],
    [random.bits() & 0xfffff800, random.bits() | 0x80000000],
  ]);
  const exponent = () => 0x3fff + random.below(80) - 40;
  const value = (low: number, high: number, exponentBits: number) => [
    ...little(low, 4),
    ...little(high, 4),
    ...little(sign | exponentBits, 2),
  ];
  switch (random.below(14)) {
    case 0:
      return value(0, 0, 0);
    case 1:
      return value(0, 0x80000000, 0x7fff);
    case 2:
      return value(random.bits(), random.bits() | 0xc0000000, 0x7fff);
    case 3:
      return value(random.bits() | 1, (random.bits() & 0x3fffffff) | 0x80000000, 0x7fff);
    case 4:
      return value(random.bits() | 1, random.bits() & 0x7fffffff, 0);
    case 5:
      return value(mantissa[0]!, mantissa[1]!, random.below(0x7ffd) + 1);
    default:
      return value(mantissa[0]!, mantissa[1]!, exponent());
  }
}

/** Two bits for each register, from its exponent and mantissa, as FSAVE would store them. */
function tagOf(bytes: readonly number[]): number {
  const exponent = ((bytes[9]! << 8) | bytes[8]!) & 0x7fff;
  if (exponent === 0 && bytes.slice(0, 8).every((byte) => byte === 0)) return 1;
  return exponent === 0 || exponent === 0x7fff ? 2 : 0;
}

/** FSAVE image, 32-bit protected mode: control, status, tags, four words of pointers, ST(0) to ST(7). */
function image(random: Random): Uint8Array {
  const bytes = new Uint8Array(IMAGE_SIZE);
  const control = 0x040 | (random.pick([3, 3, 3, 2, 0]) << 8) | (random.pick([0, 0, 1, 2, 3]) << 10);
  const masks = random.chance(1, 6) ? random.below(64) : 0x3f;
  const top = random.below(8);
  const depth = random.pick([8, 7, 4, 2, 2, 1, 0, 6]);
  let tags = 0xffff;
  for (let i = 0; i < 8; i++) {
    const value = extended(random);
    bytes.set(value, REGISTERS + i * 10);
    const physical = (top + i) & 7;
    if (i < depth) tags = (tags & ~(3 << (physical * 2))) | (tagOf(value) << (physical * 2));
  }
  bytes.set(little(0xffff0000 | control | masks, 4), 0);
  bytes.set(little(0xffff0000 | (top << 11), 4), 4);
  bytes.set(little(0xffff0000 | tags, 4), 8);
  return bytes;
}

/** Memory operands of floating-point type; integers and BCD are any bits. */
function memoryValue(row: Instruction, random: Random): number[] {
  if (row.operation === "fldcw") return little(0x040 | random.below(0x1000) | 0x3f, 2);
  if (row.operation === "fbld")
    return Array.from({ length: 10 }, (_, i) =>
      i === 9 ? random.pick([0, 0x80]) : random.below(10) | (random.below(10) << 4),
    );
  if (row.operation === "fldenv") return [...image(random).subarray(0, 28)];
  if (row.operands.includes("Mt")) return extended(random);
  if (row.operands.includes("Mq") && !row.operation.startsWith("fi")) {
    const special = random.pick([0, 0x7ff, random.below(0x7ff), 0x3ff + random.below(40) - 20]);
    return [
      ...little(random.pick([0, random.bits()]), 4),
      ...little((random.below(2) << 31) | (special << 20) | random.pick([0, random.below(0x100000)]), 4),
    ];
  }
  if (row.operands.includes("Md") && !row.operation.startsWith("fi")) {
    const special = random.pick([0, 0xff, random.below(0xff), 0x7f + random.below(40) - 20]);
    return little((random.below(2) << 31) | (special << 23) | random.pick([0, random.below(0x800000)]), 4);
  }
  return [...little(random.operand(), 4), ...little(random.operand(), 4)];
}

/** Whether C0, C2 and C3 are defined behind the instruction. */
export const definesConditions = (row: Instruction): boolean => setsConditions.test(row.operation);

export const isTranscendental = (row: Instruction): boolean => transcendental.test(row.operation);

/** The bits of an FSAVE image at the beginning of window A that are compared, and all other memory. */
export function comparedImage(conditionsDefined: boolean): Uint8Array {
  const mask = new Uint8Array(layout.MEMORY_SIZE).fill(0xff);
  // Upper halves of the first three words, and the pointers.
  for (const start of [2, 6, 10]) mask.fill(0, start, start + 2);
  mask.fill(0, 12, 28);
  if (!conditionsDefined) mask[5] = 0xff & ~0x45;
  return mask;
}

function comparedBits(row: Instruction): Uint8Array {
  const mask = comparedImage(definesConditions(row));
  if (isTranscendental(row)) {
    mask[5] = 0xff & ~0x47;
    // Which results count as exact is theirs, too, and with operands outside their domain also the kind of the result.
    mask[4] = 0xff & ~0x20;
    mask.fill(0, 8, 10);
    mask.fill(0, REGISTERS, REGISTERS + 20);
  }
  return mask;
}

export function generateFloatingPointCases(seed = 0): InstructionCase[] {
  const cases: InstructionCase[] = [];
  for (const row of instructions) {
    if (row.twoByte || row.opcode < 0xd8 || row.opcode > 0xdf || framing.has(row.operation)) continue;
    const random = new Random(row.number + seed * instructions.length);
    for (let i = 0; i < REPETITIONS; i++) {
      const form = { operandSize16: false, addressSize16: false, memory: row.memoryForm, prefixes: [] };
      const builder = new CaseBuilder(row, form, random);
      const environment = row.operation === "fldenv" || row.operation === "fnstenv";
      builder.target = layout.WINDOW_A + 128 + random.below(environment ? 200 : 240);
      if (i === 0 && row.memoryForm) builder.target = layout.READ_ONLY;
      builder.memory.set(image(random), 0);
      // A store that raises an unmasked exception stores nothing; whether it checks the page before is not defined.
      if (i === 0 || isTranscendental(row)) builder.memory[0]! |= 0x3f;
      memoryValue(row, random).forEach((byte, offset) => {
        builder.store(builder.target + offset, 1, byte);
      });
      // In some cases FWAIT, which raises what the instruction left pending.
      builder.before = [...LOAD_IMAGE];
      builder.after = [...(random.chance(1, 3) ? [0x9b] : []), ...SAVE_IMAGE];
      builder.memoryMask = comparedBits(row);
      if (row.operation === "fnstenv") maskEnvironment(builder, builder.memoryMask);
      if (row.operation === "fnstsw" || row.operation === "fnstcw") builder.undefinedFlags = 0;
      cases.push(builder.finish(slotAddress(cases.length)));
    }
  }
  return cases;
}

/** The environment that FNSTENV stores has the same undefined parts as FNSAVE's. */
function maskEnvironment(builder: CaseBuilder, mask: Uint8Array): void {
  const start = layout.memoryIndex(builder.target);
  if (start < 0) return;
  for (const offset of [2, 6, 10]) mask.fill(0, start + offset, start + offset + 2);
  mask.fill(0, start + 12, start + 28);
}
