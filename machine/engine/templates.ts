/**
 * Decoding by templates. Without prefixes and SIB byte a record follows from the opcode and, where there is one, the ModR/M byte, but for
 * displacement, immediate and place. The first instruction of each such pair is decoded by instruction-decoder.ts, and kept as the template
 * of all others; what has no template is decoded there each time. Templates are never dropped: they depend on the instruction table alone.
 *
 *   TEMPLATE_INDEX  a halfword for each two bytes that an instruction may begin with, then for each two behind 0F, by first × 256 + second:
 *                   number of the template × 16 + length, or 0
 *   TEMPLATES       by number: the record, then the fields below, by which displacement and immediate are made without a branch, because code
 *                   that is decoded is new to the host's branch prediction too. In the place of template 0 stands how many there are.
 */

import { descriptor } from "./instruction-decoder";
import { EMPTY_MAP, OPCODES, POOL, PREFIX_KINDS, RAM, TEMPLATE_INDEX, TEMPLATES } from "./layout/addresses";
import * as Form from "./layout/decoding";
import * as Field from "./layout/fields";
import * as Prefix from "./layout/prefixes";
import * as Slot from "./layout/slots";
import { get } from "./state";

const BEHIND_0F = 0x2_0000;
const MOST_TEMPLATES = 4096;
const LENGTH_BITS = 4;
/** More than may be read from the start of an instruction on: its first byte and eight more, or as many as it has. */
const MOST_READ = 12;
/** Logarithm of a template's bytes. */
const TEMPLATE_SHIFT = 7;

/**
 * SCALE, which is 0, and DISPLACEMENT as one word of 64 bits: the eight bytes behind the first, shifted left, then right by so many bits,
 * masked.
 */
const DISPLACEMENT_LEFT = 64;
const DISPLACEMENT_RIGHT = 65;
const DISPLACEMENT_MASK = 72;
/** The immediate, to which that of the record is added: the last four bytes, shifted right, masked. */
const IMMEDIATE_RIGHT = 66;
const IMMEDIATE_MASK = 68;
/** −1 when the place behind the instruction is added to the immediate. */
const RELATIVE_MASK = 80;
/** Operation when the immediate lies in the page and when not; the same without a branch distance. */
const IN_PAGE_OPERATION = 84;
const OTHER_OPERATION = 88;
/** ENDS_RUN of the descriptor's flags. */
const ENDS_RUN = 67;

// Fields of the record at byte `q` of the pool, and in a template.
const RECORD = Field.WORDS << 2;
const OPERATION = Field.OPERATION << 2;
const CLOCKS = Field.CLOCKS << 2;
const OFFSET = Field.OFFSET << 2;
const REG = Field.REG << 2;
const BASE = Field.BASE << 2;
const SCALE = Field.SCALE << 2;
const SEGMENT = Field.SEGMENT << 2;
const IMMEDIATE = Field.IMMEDIATE << 2;
const LINK = Field.LINK << 2;
const PREFIX = Field.PREFIX << 2;

/** Offset behind the instructions that `decodeByTemplates` has decoded, and whether the last of them ends a run. */
export let reached: i32 = 0;
export let hasEnded: bool = false;

/** Place in the index of the two bytes at an address. */
function indexOf(bytes: i32): i32 {
  return (((<i32>load<u8>(bytes)) << 8) | <i32>load<u8>(bytes, 1)) << 1;
}

/**
 * Decodes instructions from an offset of the page in use on into records `first` to `end`, as long as there are templates for them, none is in the
 * page's map and none ends the run. The record behind them.
 */
export function decodeByTemplates(first: i32, end: i32, start: i32, map: i32): i32 {
  const page = RAM + get(Slot.CODE_FRAME);
  const stop = end << 2;
  let q = first << 2;
  let offset = start;
  hasEnded = false;
  while (q !== stop) {
    if (offset > 4096 - MOST_READ) break;
    if (map !== EMPTY_MAP && load<i32>(map + (offset << 2)) !== 0) break;
    const bytes = page + offset;
    let entry = <i32>load<u16>(indexOf(bytes), TEMPLATE_INDEX);
    if (entry === 0) {
      if (<i32>load<u8>(bytes) !== 0x0f) break;
      entry = <i32>load<u16>(indexOf(bytes + 1), TEMPLATE_INDEX + BEHIND_0F);
      if (entry === 0) break;
    }
    const length = entry & ((1 << LENGTH_BITS) - 1);
    const t = (entry >> LENGTH_BITS) << TEMPLATE_SHIFT;
    store<i64>(q, <i64>offset | ((<i64>length) << 32), POOL + OFFSET);
    offset += length;
    const immediate =
      ((load<i32>(bytes + length - 4) >> <i32>load<u8>(t, TEMPLATES + IMMEDIATE_RIGHT)) &
        load<i32>(t, TEMPLATES + IMMEDIATE_MASK)) +
      load<i32>(t, TEMPLATES + IMMEDIATE) +
      (offset & load<i32>(t, TEMPLATES + RELATIVE_MASK));
    store<i32>(q, immediate, POOL + IMMEDIATE);
    const inPage = load<i32>(t, TEMPLATES + IN_PAGE_OPERATION);
    const other = load<i32>(t, TEMPLATES + OTHER_OPERATION);
    store<i32>(q, select<i32>(inPage, other, <u32>immediate < 4096), POOL + OPERATION);
    store<i64>(
      q,
      ((load<i64>(bytes, 1) << (<i64>load<u8>(t, TEMPLATES + DISPLACEMENT_LEFT))) >>
        <i64>load<u8>(t, TEMPLATES + DISPLACEMENT_RIGHT)) &
        load<i64>(t, TEMPLATES + DISPLACEMENT_MASK),
      POOL + SCALE,
    );
    store<i32>(q, load<i32>(t, TEMPLATES + CLOCKS), POOL + CLOCKS);
    store<i64>(q, load<i64>(t, TEMPLATES + REG), POOL + REG);
    store<i64>(q, load<i64>(t, TEMPLATES + BASE), POOL + BASE);
    store<i32>(q, load<i32>(t, TEMPLATES + SEGMENT), POOL + SEGMENT);
    store<i64>(q, load<i64>(t, TEMPLATES + LINK), POOL + LINK);
    store<i64>(q, load<i64>(t, TEMPLATES + PREFIX), POOL + PREFIX);
    q += RECORD;
    if (<i32>load<u8>(t, TEMPLATES + ENDS_RUN) !== 0) {
      hasEnded = true;
      break;
    }
  }
  reached = offset;
  return q >> 2;
}

/** Bytes of the displacement by ModR/M, when there is no SIB byte. */
function displacementBytes(modrm: i32): i32 {
  const mod = modrm >> 6;
  if (mod === 0) return (modrm & 7) === 5 ? 4 : 0;
  return mod === 1 ? 1 : 4;
}

/** Fills in what concerns a displacement of so many bytes behind the first `head`. */
function describeDisplacement(t: i32, head: i32, bytes: i32): void {
  store<u8>(t, bytes === 0 ? 0 : 72 - ((head + bytes) << 3), TEMPLATES + DISPLACEMENT_LEFT);
  store<u8>(t, bytes === 1 ? 24 : 0, TEMPLATES + DISPLACEMENT_RIGHT);
  store<i64>(t, bytes === 0 ? 0 : -0x1_0000_0000, TEMPLATES + DISPLACEMENT_MASK);
}

/** Fills in what concerns the immediate. False for what has more than one. */
function describeImmediate(t: i32, kind: i32): bool {
  let right = 0;
  let mask = -1;
  switch (kind) {
    case Form.NONE:
    case Form.ADDRESS:
      mask = 0;
      break;
    case Form.BYTE:
      right = 24;
      mask = 0xff;
      break;
    case Form.SIGNED_BYTE:
      right = 24;
      break;
    case Form.OPERAND:
      break;
    case Form.WORD:
      right = 16;
      mask = 0xffff;
      break;
    default:
      return false;
  }
  store<u8>(t, right, TEMPLATES + IMMEDIATE_RIGHT);
  store<i32>(t, mask, TEMPLATES + IMMEDIATE_MASK);
  if (mask !== 0) store<i32>(t, 0, TEMPLATES + IMMEDIATE);
  return true;
}

/** Fills in the operations and what is added to a branch distance. `d`: the descriptor. */
function describeOperations(t: i32, d: i32): void {
  let inPage = load<i32>(t, TEMPLATES + OPERATION);
  let other = inPage;
  const isRelative = (<i32>load<u8>(d, Form.FLAGS) & Form.RELATIVE) !== 0;
  if (isRelative) {
    inPage = <i32>load<u16>(d + ((Form.BASED | Form.IN_PAGE) << 1), Form.OPERATIONS);
    other = <i32>load<u16>(d + (Form.BASED << 1), Form.OPERATIONS);
  }
  store<i32>(t, isRelative ? -1 : 0, TEMPLATES + RELATIVE_MASK);
  store<i32>(t, inPage, TEMPLATES + IN_PAGE_OPERATION);
  store<i32>(t, other, TEMPLATES + OTHER_OPERATION);
}

/** Makes record `p`, which `decodeInstruction` has just filled from these bytes, a template, if it can be one and there is none. */
export function keepTemplate(p: i32, bytes: i32, length: i32): void {
  const first = <i32>load<u8>(bytes);
  const number = load<i32>(TEMPLATES) + 1;
  if (<i32>load<u8>(first, PREFIX_KINDS) !== 0 || number === MOST_TEMPLATES) return;
  const behind0f = first === 0x0f;
  const opcode = behind0f ? 0x100 | <i32>load<u8>(bytes, 1) : first;
  const withModrm = load<i32>(opcode << 2, OPCODES) < 0;
  const place = behind0f && withModrm ? BEHIND_0F + indexOf(bytes + 1) : indexOf(bytes);
  const d = descriptor;
  const flags = <i32>load<u8>(d, Form.FLAGS);
  const modrm = (load<i32>(p << 2, POOL + PREFIX) >> Prefix.MODRM_SHIFT) & 0xff;
  const hasAddress = (flags & Form.MODRM_MEMORY) !== 0;
  const hasSib = hasAddress && (modrm & 7) === 4;
  if (hasSib || <i32>load<u16>(place, TEMPLATE_INDEX) !== 0) return;
  const t = number << TEMPLATE_SHIFT;
  const kind = <i32>load<u8>(d, Form.IMMEDIATE);
  memory.copy(TEMPLATES + t, POOL + (p << 2), RECORD);
  if (!describeImmediate(t, kind)) return;
  const head = 1 + i32(behind0f) + i32(withModrm);
  describeDisplacement(t, head, kind === Form.ADDRESS ? 4 : hasAddress ? displacementBytes(modrm) : 0);
  describeOperations(t, d);
  store<u8>(t, flags & Form.ENDS_RUN, TEMPLATES + ENDS_RUN);
  store<i32>(TEMPLATES, number);
  const entry = (number << LENGTH_BITS) | length;
  if (behind0f || withModrm) store<u16>(place, entry, TEMPLATE_INDEX);
  else
    for (let second = 0; second < 512; second += 2) store<u16>((first << 9) + second, entry, TEMPLATE_INDEX);
}
