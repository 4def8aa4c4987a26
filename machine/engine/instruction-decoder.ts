/**
 * From the bytes of one instruction to a record of the code cache. Everything about an opcode comes from the tables of layout/decoding.ts.
 *
 * The bytes may end before the instruction does: what stands behind them is then decoded with it, and the length tells that it goes beyond.
 * Whether it does depends only on the bytes that are there. Callers see to the limit of 15 bytes in the same way.
 */

import { CHOICES, FORMS, OPCODES, POOL, PREFIX_KINDS } from "./layout/addresses";
import * as Form from "./layout/decoding";
import * as Field from "./layout/fields";
import * as Prefix from "./layout/prefixes";
import { SS } from "./layout/segments";
import { ZERO } from "./layout/slots";

/** Bytes that may be read from the start of an instruction on, whatever they are. */
export const MOST_READ = 32;
const MOST_PREFIXES = 15;

const OPERATION = POOL + (Field.OPERATION << 2);
const REG = POOL + (Field.REG << 2);
const RM = POOL + (Field.RM << 2);
const BASE = POOL + (Field.BASE << 2);
const INDEX = POOL + (Field.INDEX << 2);
const SCALE = POOL + (Field.SCALE << 2);
const DISPLACEMENT = POOL + (Field.DISPLACEMENT << 2);
const SEGMENT = POOL + (Field.SEGMENT << 2);
const IMMEDIATE = POOL + (Field.IMMEDIATE << 2);
const PREFIX = POOL + (Field.PREFIX << 2);
const EXTRA = POOL + (Field.EXTRA << 2);

/** Base registers of the eight 16-bit addresses, four bits each from the lowest on: BX BX BP BP SI DI BP BX. */
const BASES_16 = 0x3576_5533;
const ESI = 6;

/** Descriptor of the instruction decoded last (layout/decoding.ts). */
export let descriptor: i32 = 0;

// What `readPrefixes` found.
let prefix: i32 = 0;
let overriding: i32 = 0;
let isNarrow: i32 = 0;

function prefixKind(opcode: i32): i32 {
  return <i32>load<u8>(opcode, PREFIX_KINDS);
}

/** Reads prefixes from an address on, one more than is allowed at most; returns the address behind them. */
function readPrefixes(first: i32): i32 {
  let at = first;
  prefix = 0;
  overriding = -1;
  isNarrow = 0;
  for (let kind = prefixKind(<i32>load<u8>(at)); kind !== 0; kind = prefixKind(<i32>load<u8>(at))) {
    if (kind >= Form.SEGMENT_OVERRIDE) overriding = kind - Form.SEGMENT_OVERRIDE;
    else if (kind === Form.OPERAND_SIZE) isNarrow = 1;
    else if (kind === Form.ADDRESS_SIZE) prefix |= Prefix.ADDRESS_16;
    else if (kind === Form.LOCKED) prefix |= Prefix.LOCK;
    else if (kind === Form.REPEAT) prefix = (prefix & ~Prefix.REPNE) | Prefix.REP;
    else prefix = (prefix & ~Prefix.REP) | Prefix.REPNE;
    if (at - first === MOST_PREFIXES) break;
    at++;
  }
  return at;
}

/** Fills in the 32-bit address of the record at byte `q` of the pool; returns the place behind it. */
function decodeAddress32(q: i32, modrm: i32, first: i32): i32 {
  let at = first;
  let base = modrm & 7;
  if (base === 4) {
    const sib = <i32>load<u8>(at++);
    base = sib & 7;
    if ((sib & 0x38) !== 0x20) {
      store<i32>(q, (sib >> 3) & 7, INDEX);
      store<i32>(q, sib >> 6, SCALE);
    }
  }
  const mod = modrm >> 6;
  if (base === 5 && mod === 0) {
    store<i32>(q, load<i32>(at), DISPLACEMENT);
    return at + 4;
  }
  store<i32>(q, base, BASE);
  if ((base & ~1) === 4) store<i32>(q, SS, SEGMENT);
  if (mod === 0) return at;
  if (mod === 1) {
    store<i32>(q, <i32>load<i8>(at), DISPLACEMENT);
    return at + 1;
  }
  store<i32>(q, load<i32>(at), DISPLACEMENT);
  return at + 4;
}

/** The same for a 16-bit address. */
function decodeAddress16(q: i32, modrm: i32, at: i32): i32 {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (mod === 0 && rm === 6) {
    store<i32>(q, <i32>load<u16>(at), DISPLACEMENT);
    return at + 2;
  }
  store<i32>(q, (BASES_16 >>> (rm << 2)) & 0xf, BASE);
  if (rm < 4) store<i32>(q, ESI + (rm & 1), INDEX);
  if (rm === 2 || rm === 3 || rm === 6) store<i32>(q, SS, SEGMENT);
  if (mod === 0) return at;
  if (mod === 1) {
    store<i32>(q, <i32>load<i8>(at), DISPLACEMENT);
    return at + 1;
  }
  store<i32>(q, <i32>load<u16>(at), DISPLACEMENT);
  return at + 2;
}

/** Index of a register operand, in units of its size. */
function register(source: i32, modrm: i32, opcode: i32): i32 {
  const where = source & ~3;
  const number = (where === Form.MODRM_RM ? modrm : where === Form.MODRM_REG ? modrm >> 3 : opcode) & 7;
  const log = source & 3;
  if (log === 2) return number;
  // AH, CH, DH and BH are the second bytes of the first four registers.
  return log === 1 ? number << 1 : ((number & 3) << 2) | (number >> 2);
}

function copyRecord(to: i32, from: i32): void {
  store<i64>(to, load<i64>(from));
  store<i64>(to, load<i64>(from, 8), 8);
  store<i64>(to, load<i64>(from, 16), 16);
  store<i64>(to, load<i64>(from, 24), 24);
  store<i64>(to, load<i64>(from, 32), 32);
  store<i64>(to, load<i64>(from, 40), 40);
  store<i64>(to, load<i64>(from, 48), 48);
  store<i64>(to, load<i64>(from, 56), 56);
}

/** Reads the immediates of a descriptor's kind into a record; returns the place behind them. */
function decodeImmediate(q: i32, kind: i32, at: i32, narrow: i32, narrowAddress: i32): i32 {
  switch (kind) {
    case Form.BYTE:
      store<i32>(q, <i32>load<u8>(at), IMMEDIATE);
      return at + 1;
    case Form.SIGNED_BYTE:
      store<i32>(q, <i32>load<i8>(at), IMMEDIATE);
      return at + 1;
    case Form.OPERAND:
      store<i32>(q, narrow !== 0 ? <i32>load<i16>(at) : load<i32>(at), IMMEDIATE);
      return at + (narrow !== 0 ? 2 : 4);
    case Form.WORD:
      store<i32>(q, <i32>load<u16>(at), IMMEDIATE);
      return at + 2;
    case Form.WORD_AND_BYTE:
      store<i32>(q, <i32>load<u16>(at), IMMEDIATE);
      store<i32>(q, <i32>load<u8>(at + 2), EXTRA);
      return at + 3;
    case Form.FAR_POINTER:
      store<i32>(q, narrow !== 0 ? <i32>load<u16>(at) : load<i32>(at), IMMEDIATE);
      store<i32>(q, <i32>load<u16>(at + (narrow !== 0 ? 2 : 4)), EXTRA);
      return at + (narrow !== 0 ? 4 : 6);
    case Form.ADDRESS:
      store<i32>(q, narrowAddress !== 0 ? <i32>load<u16>(at) : load<i32>(at), DISPLACEMENT);
      return at + (narrowAddress !== 0 ? 2 : 4);
    default:
      return at;
  }
}

/** Decodes the bytes at an address of linear memory (`MOST_READ` of them are there) into record `p`, at `offset` of its page. Its length. */
export function decodeInstruction(p: i32, bytes: i32, offset: i32): i32 {
  const q = p << 2;
  let at = bytes;
  let prefixes = 0;
  let narrow = 0;
  let segment = -1;
  if (prefixKind(<i32>load<u8>(at)) !== 0) {
    at = readPrefixes(at);
    prefixes = prefix;
    narrow = isNarrow;
    segment = overriding;
  }
  const narrowAddress = prefixes & Prefix.ADDRESS_16;
  let opcode = <i32>load<u8>(at++);
  let form: i32;
  if (opcode === 0x0f) {
    opcode = <i32>load<u8>(at++);
    form = load<i32>(opcode << 2, OPCODES + 0x400);
  } else form = load<i32>(opcode << 2, OPCODES);
  let modrm = 0;
  if (form < 0) {
    modrm = <i32>load<u8>(at++);
    const choice = modrm < 0xc0 ? (modrm >> 3) & 7 : modrm - 0xb8;
    form = <i32>load<u16>((form & 0x7fff_ffff) + (choice << 1), CHOICES);
  }
  const d = FORMS + form * Form.FORM_BYTES + narrow * Form.DESCRIPTOR_BYTES;
  descriptor = d;
  copyRecord(POOL + q, d);
  const flags = <i32>load<u8>(d, Form.FLAGS);
  if ((flags & Form.MODRM_MEMORY) !== 0)
    at = narrowAddress !== 0 ? decodeAddress16(q, modrm, at) : decodeAddress32(q, modrm, at);
  const kind = <i32>load<u8>(d, Form.IMMEDIATE);
  if (kind !== Form.NONE) at = decodeImmediate(q, kind, at, narrow, narrowAddress);
  const length = at - bytes;
  const rm = <i32>load<u8>(d, Form.RM_SOURCE);
  if (rm !== Form.FIXED) store<i32>(q, register(rm, modrm, opcode), RM);
  const reg = <i32>load<u8>(d, Form.REG_SOURCE);
  if (reg !== Form.FIXED) store<i32>(q, register(reg, modrm, opcode), REG);
  if ((flags & (Form.RELATIVE | Form.SEVERAL_OPERATIONS)) !== 0) {
    let which = load<i32>(q, INDEX) === ZERO ? Form.BASED : 0;
    if ((flags & Form.RELATIVE) !== 0) {
      const target = load<i32>(q, IMMEDIATE) + offset + length;
      store<i32>(q, target, IMMEDIATE);
      if (<u32>target < 4096) which |= Form.IN_PAGE;
    }
    store<i32>(q, <i32>load<u16>(d + (which << 1), Form.OPERATIONS), OPERATION);
  }
  store<i32>(q, offset, POOL + (Field.OFFSET << 2));
  store<i32>(q, length, POOL + (Field.BYTES << 2));
  const form4 = load<i32>(q, PREFIX) | (modrm << Prefix.MODRM_SHIFT) | (opcode << Prefix.OPCODE_SHIFT);
  store<i32>(q, form4 | prefixes, PREFIX);
  if (segment >= 0) store<i32>(q, segment, SEGMENT);
  if (prefixes !== 0) applyPrefixes(q, d, prefixes, flags);
  return length;
}

/** What an address of 16 bits and LOCK do to an operation. */
function applyPrefixes(q: i32, d: i32, prefixes: i32, flags: i32): void {
  if ((prefixes & Prefix.ADDRESS_16) !== 0 && (flags & Form.MEMORY_OPERAND) !== 0)
    store<i32>(q, <i32>load<u16>(d, Form.NARROW_OPERATION), OPERATION);
  const canLock = Form.LOCKABLE | Form.MEMORY_OPERAND;
  if ((prefixes & Prefix.LOCK) === 0 || (flags & canLock) === canLock) return;
  // The undefined opcode is form 0.
  descriptor = FORMS;
  store<i32>(q, load<i32>(FORMS, Field.OPERATION << 2), OPERATION);
  store<i32>(q, load<i32>(FORMS, Field.CLOCKS << 2), POOL + (Field.CLOCKS << 2));
}
