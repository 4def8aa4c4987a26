/**
 * From instruction bytes to records of the code cache, and from EIP to records. Everything about an opcode comes from the
 * instruction table.
 *
 * Cached: instructions in pages of RAM that lie wholly inside the CS limit. All others (in a page cut by the limit, in device memory)
 * are decoded each time they run, into scratch records, with every byte checked. An instruction that goes on in the next page is cached
 * behind a record that looks, each time, whether the next page is still the same and unchanged (`continuesOnNextPage`).
 *
 * Faults of fetching belong to the instruction that is looked for, not to the one before: FETCHING is 1 and EIP is set while
 * anything here may raise. Decoding ahead raises nothing: it stops in front of what it cannot decode.
 *
 * Over 500 lines: looking up, decoding and caching share the scratch records and the page under way.
 *
 * Limits: code segments are taken as 32-bit (D = 1), stacks as 32-bit (B = 1).
 */

import type { CodeCache } from "./code-cache.ts";
import { FIRST_CACHED, SCRATCH_RECORD } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import { chooseHotOperation, FIRST_COLD, HotOperation } from "./hot-operations.ts";
import { Field, Prefix, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Paging } from "./paging.ts";
import {
  hasModrm,
  instructions,
  opcodeMapIndex,
  prefixKind,
  prefixKinds,
  rowNumbers,
  type TableInstruction,
} from "./table.ts";
import type { DetailedTiming } from "./timing/detailed.ts";

/** Longest instruction, prefixes included; one more byte is #GP(0). */
const LONGEST = 15;
/** Records decoded ahead in one go. */
const RUN = 48;

/** Numbers of the operations that are functions, by the table's operation name. */
export const coldNumbers: ReadonlyMap<string, number> = new Map(
  [...new Set(instructions.map((row) => row.operation)), "hostBreakpoint", "nextPageCheck", "probe"].map(
    (name, index) => [name, FIRST_COLD + index],
  ),
);

export interface Decoder {
  /** Pool index of the instruction at offset `eip` of CS. Raises what fetching it raises. */
  locate(eip: number): number;
  /** `locate` for a branch: a target outside CS is the branch's own #GP(0). */
  jump(eip: number): number;
  /** Resolves and remembers the target of a branch inside its page. */
  link(p: number): number;
  /** Raises #GP(0) when `eip` lies outside CS. */
  checkTarget(eip: number): void;
  /** Offset in CS of a record's first byte. */
  eipOf(p: number): number;
  /** Handler of the record in front of an instruction across a page end. */
  continuesOnNextPage(p: number): number;
  /** Frame number of the code page in use. */
  frame(): number;
  /** Compiled code may have gone to another page (CODE_PAGE, CODE_FRAME): takes that over. */
  resume(): void;
  /** Told about records that branches lead to, when they are first decoded or linked; null when nobody asks. */
  onEntry: ((p: number, frame: number) => void) | null;
  /**
   * Gives an instruction at offset `eip` of CS the number of the probe that runs in front of it, or -1; null when nobody watches
   * instructions. Call `CodeCache.dropAll` after a change.
   */
  probeAt: ((eip: number) => number) | null;
  /** Linear addresses at which the host wants to stop; call `CodeCache.dropAll` after a change. */
  readonly breakpoints: Set<number>;
}

export function createDecoder(
  core: ProcessorCore,
  codeCache: CodeCache,
  paging: Paging,
  memory: Memory,
  timing: DetailedTiming | null,
): Decoder {
  const { s, ram8, ramSize } = core;
  const { pool } = codeCache;
  const { CODE_PAGE, CODE_FRAME, PAGE_EIP, FETCHING, EIP, MODE } = Slot;
  const CS_BASE = Slot.BASE + Segment.CS;
  const CS_LIMIT = Slot.LIMIT + Segment.CS;
  const { OPERATION, CLOCKS, OFFSET, BYTES, REG, RM, BASE, INDEX, SCALE, DISPLACEMENT } = Field;
  const { SEGMENT, IMMEDIATE, LINK, SIZE, PREFIX, EXTRA, WORDS } = Field;
  const ZERO = Slot.ZERO;
  const breakpoints = new Set<number>();
  const breakpointNumber = coldNumbers.get("hostBreakpoint")!;
  const nextPageCheckNumber = coldNumbers.get("nextPageCheck")!;
  const probeNumber = coldNumbers.get("probe")!;
  const coldOf = instructions.map((row) => coldNumbers.get(row.operation)!);

  /** Map of the page in use; null when its code is not cached. */
  let currentMap: Int32Array | null = null;
  let currentFrame = 0;

  // The instruction being decoded: where its bytes come from.
  let position = 0;
  let first = 0;
  let ahead = false;
  let aborted = false;
  let nextPagePhysical = 0;
  let pageLinear = 0;

  function fetchByte(): number {
    if (position - first >= LONGEST) {
      if (!ahead) raise(Vector.GP, 0);
      aborted = true;
      return 0;
    }
    const offset = position++;
    if (ahead) {
      if (offset < 4096) return ram8[currentFrame + offset]!;
      aborted = true;
      return 0;
    }
    if ((s[PAGE_EIP]! + offset) >>> 0 > s[CS_LIMIT]! >>> 0) raise(Vector.GP, 0);
    if (offset < 4096) return memory.readPhysical(currentFrame + offset, 1);
    if (nextPagePhysical === -1) {
      nextPagePhysical = paging.translateCode((pageLinear + 4096) | 0, s[MODE]!);
    }
    return memory.readPhysical(nextPagePhysical + offset - 4096, 1);
  }

  function fetchWord(): number {
    const low = fetchByte();
    return low | (fetchByte() << 8);
  }

  function fetchDouble(): number {
    const low = fetchWord();
    return low | (fetchWord() << 16);
  }

  function registerIndex(number: number, size: number): number {
    if (size === 4) return number;
    if (size === 2) return number * 2;
    return number < 4 ? number * 4 : (number - 4) * 4 + 1;
  }

  /** Base, index and displacement of a 32-bit address; returns the default segment. */
  function decodeAddress32(p: number, modrm: number): number {
    const mod = modrm >> 6;
    let base = modrm & 7;
    let segment: number = Segment.DS;
    pool[p + INDEX] = ZERO;
    pool[p + SCALE] = 0;
    if (base === 4) {
      const sib = fetchByte();
      base = sib & 7;
      const index = (sib >> 3) & 7;
      if (index !== 4) {
        pool[p + INDEX] = index;
        pool[p + SCALE] = sib >> 6;
      }
    }
    if (base === 5 && mod === 0) {
      pool[p + BASE] = ZERO;
      pool[p + DISPLACEMENT] = fetchDouble();
      return segment;
    }
    pool[p + BASE] = base;
    if (base === 4 || base === 5) segment = Segment.SS;
    if (mod === 1) pool[p + DISPLACEMENT] = (fetchByte() << 24) >> 24;
    else if (mod === 2) pool[p + DISPLACEMENT] = fetchDouble();
    else pool[p + DISPLACEMENT] = 0;
    return segment;
  }

  function decodeAddress16(p: number, modrm: number): number {
    const mod = modrm >> 6;
    const rm = modrm & 7;
    pool[p + SCALE] = 0;
    if (mod === 0 && rm === 6) {
      pool[p + BASE] = ZERO;
      pool[p + INDEX] = ZERO;
      pool[p + DISPLACEMENT] = fetchWord();
      return Segment.DS;
    }
    pool[p + BASE] = [Slot.EBX, Slot.EBX, Slot.EBP, Slot.EBP, Slot.ESI, Slot.EDI, Slot.EBP, Slot.EBX][rm]!;
    pool[p + INDEX] = rm < 4 ? ((rm & 1) === 0 ? Slot.ESI : Slot.EDI) : ZERO;
    if (mod === 1) pool[p + DISPLACEMENT] = (fetchByte() << 24) >> 24;
    else if (mod === 2) pool[p + DISPLACEMENT] = fetchWord();
    else pool[p + DISPLACEMENT] = 0;
    return rm === 2 || rm === 3 || rm === 6 ? Segment.SS : Segment.DS;
  }

  /** Decodes one instruction at `offset` of the current page into record `p`; null when ahead and not decodable here. */
  function decodeOne(p: number, offset: number): TableInstruction | null {
    position = offset;
    first = offset;
    aborted = false;
    nextPagePhysical = -1;
    let operandSize = 4;
    let prefix = 0;
    let override = -1;
    let opcode = fetchByte();
    for (let kind = prefixKinds[opcode]!; kind !== prefixKind.none && !aborted; kind = prefixKinds[opcode]!) {
      if (kind >= prefixKind.segment) override = kind - prefixKind.segment;
      else if (kind === prefixKind.operandSize) operandSize = 2;
      else if (kind === prefixKind.addressSize) prefix |= Prefix.ADDRESS_16;
      else if (kind === prefixKind.lock) prefix |= Prefix.LOCK;
      else if (kind === prefixKind.repeat) prefix = (prefix & ~Prefix.REPNE) | Prefix.REP;
      else prefix = (prefix & ~Prefix.REP) | Prefix.REPNE;
      opcode = fetchByte();
    }
    const twoByte = opcode === 0x0f;
    if (twoByte) opcode = fetchByte();
    const modrm = hasModrm[(twoByte ? 0x100 : 0) | opcode] !== 0 ? fetchByte() : 0;
    if (aborted) return null;
    let row = instructions[rowNumbers[opcodeMapIndex(twoByte, opcode, modrm)]!]!;
    const isMemory = row.modrm && row.memoryForm && modrm < 0xc0;
    const addressSize16 = (prefix & Prefix.ADDRESS_16) !== 0;
    let defaultSegment: number = Segment.DS;
    let memoryOperand = isMemory;
    if (isMemory) {
      defaultSegment = addressSize16 ? decodeAddress16(p, modrm) : decodeAddress32(p, modrm);
    } else {
      pool[p + BASE] = ZERO;
      pool[p + INDEX] = ZERO;
      pool[p + SCALE] = 0;
      pool[p + DISPLACEMENT] = 0;
    }
    const size = row.byteSized ? 1 : operandSize;
    let rm = -1;
    let reg = 0;
    let immediate = 0;
    let extra = 0;
    let form = 2;
    let shiftByCl = false;
    const operands = row.operands;
    for (let i = 0; i < operands.length; i++) {
      switch (operands[i]!) {
        case "Eb":
          if (!isMemory) rm = registerIndex(modrm & 7, 1);
          extra = 1;
          break;
        case "Ew":
          if (!isMemory) rm = registerIndex(modrm & 7, 2);
          extra = 2;
          break;
        case "Ev":
        case "Evw":
          if (!isMemory) rm = registerIndex(modrm & 7, size);
          break;
        case "Rd":
          rm = modrm & 7;
          break;
        case "Gb":
          reg = registerIndex((modrm >> 3) & 7, 1);
          form = i === 0 ? 1 : 0;
          break;
        case "Gw":
          reg = registerIndex((modrm >> 3) & 7, 2);
          form = i === 0 ? 1 : 0;
          break;
        case "Gv":
          reg = registerIndex((modrm >> 3) & 7, size);
          form = i === 0 ? 1 : 0;
          break;
        case "Sw":
        case "Cd":
        case "Dd":
          reg = (modrm >> 3) & 7;
          break;
        case "Ib":
          if (i === 0 || operands[i - 1] !== "Iw") immediate = fetchByte();
          else extra = fetchByte();
          break;
        case "Iw":
          immediate = fetchWord();
          break;
        case "Iz":
          immediate = operandSize === 4 ? fetchDouble() : (fetchWord() << 16) >> 16;
          break;
        case "Ibs":
        case "Jb":
          immediate = (fetchByte() << 24) >> 24;
          break;
        case "Jz":
          immediate = operandSize === 4 ? fetchDouble() : (fetchWord() << 16) >> 16;
          break;
        case "Ap":
          immediate = operandSize === 4 ? fetchDouble() : fetchWord();
          extra = fetchWord();
          break;
        case "Ob":
        case "Ov":
          pool[p + DISPLACEMENT] = addressSize16 ? fetchWord() : fetchDouble();
          memoryOperand = true;
          form = i === 0 ? 0 : 1;
          break;
        case "Zb":
          rm = registerIndex(opcode & 7, 1);
          break;
        case "Zv":
          rm = registerIndex(opcode & 7, size);
          break;
        case "AL":
        case "rAX":
          // The other operand decides: with an address or an opcode register it is the register operand.
          if (i === 0 && operands[1] !== "Ob" && operands[1] !== "Ov") rm = 0;
          break;
        case "CL":
          shiftByCl = true;
          break;
        case "1":
          immediate = 1;
          break;
        case "ES":
        case "CS":
        case "SS":
        case "DS":
        case "FS":
        case "GS":
          reg = ["ES", "CS", "SS", "DS", "FS", "GS"].indexOf(operands[i]!);
          break;
        default:
          break;
      }
    }
    if (aborted) return null;
    if ((prefix & Prefix.LOCK) !== 0 && (!row.lockable || !memoryOperand)) row = instructions[0]!;
    const length = position - offset;
    const isRelative = row.operands[0] === "Jb" || row.operands[0] === "Jz";
    if (isRelative) immediate = offset + length + immediate;
    if (row.operation === "jcc" || row.operation === "setcc") extra = opcode & 15;
    if (form === 1 && !memoryOperand && isExchangeable(row)) {
      // reg, rm with two registers: store it as rm, reg.
      const other = rm;
      rm = reg;
      reg = other;
      form = 0;
    }
    const hot = chooseHotOperation(row, {
      size,
      isMemory: memoryOperand,
      isBased: pool[p + INDEX] === ZERO,
      form,
      shiftByCl,
      inPage: isRelative && immediate >= 0 && immediate < 4096,
      condition: extra,
      addressSize16,
    });
    pool[p + OPERATION] = hot !== 0 ? hot : coldOf[row.number]!;
    pool[p + CLOCKS] = memoryOperand ? row.clocks.memory : row.clocks.register;
    pool[p + OFFSET] = offset;
    pool[p + BYTES] = length;
    pool[p + REG] = reg;
    pool[p + RM] = memoryOperand ? -1 : rm;
    pool[p + SEGMENT] = override >= 0 ? override : defaultSegment;
    pool[p + IMMEDIATE] = shiftByCl ? -1 : immediate;
    pool[p + LINK] = 0;
    pool[p + SIZE] = size;
    pool[p + PREFIX] =
      prefix | (form << Prefix.FORM_SHIFT) | (modrm << Prefix.MODRM_SHIFT) | (opcode << Prefix.OPCODE_SHIFT);
    pool[p + EXTRA] = extra;
    return row;
  }

  function isExchangeable(row: TableInstruction): boolean {
    return row.operation === "mov" || (row.opcode < 0x40 && !row.twoByte);
  }

  function pseudo(p: number, operation: number, offset: number, target: number): void {
    pool[p + OPERATION] = operation;
    pool[p + CLOCKS] = 0;
    pool[p + OFFSET] = offset;
    pool[p + BYTES] = 0;
    pool[p + LINK] = target;
  }

  /** True when some host breakpoint has this offset in its page; the operation itself compares the whole address. */
  function mayBreakAt(offset: number): boolean {
    for (const linear of breakpoints) if ((linear & 0xfff) === offset) return true;
    return false;
  }

  /** Puts a probe at `p` when the instruction gets one; returns the next free record. */
  function placeProbe(p: number, offset: number): number {
    const number = decoder.probeAt!((s[PAGE_EIP]! + offset) >>> 0);
    if (number < 0) return p;
    pseudo(p, probeNumber, offset, 0);
    pool[p + IMMEDIATE] = number;
    return p + WORDS;
  }

  function decodeScratch(offset: number): number {
    ahead = false;
    let p: number = SCRATCH_RECORD;
    if (breakpoints.size !== 0 && mayBreakAt(offset)) {
      pseudo(p, breakpointNumber, offset, 0);
      p += WORDS;
    }
    if (decoder.probeAt !== null) p = placeProbe(p, offset);
    if (timing !== null) p += WORDS;
    const row = decodeOne(p, offset);
    if (row !== null) timing?.prepare(row, p, currentFrame + offset);
    pseudo(p + WORDS, HotOperation.relocate, offset + pool[p + BYTES]!, 0);
    return SCRATCH_RECORD;
  }

  /**
   * The instruction at `offset` goes on in the next page: caches it as [check of the next page] [instruction] [look up the next one].
   * Not where the next page is cut by the limit or no RAM.
   */
  function decodeStraddling(map: Int32Array, offset: number): number {
    const limit = s[CS_LIMIT]! >>> 0;
    const start = s[PAGE_EIP]! >>> 0;
    ahead = false;
    const entry = codeCache.top();
    const check = breakpoints.size !== 0 && mayBreakAt(offset) ? entry + WORDS : entry;
    const behindCheck = decoder.probeAt === null ? check + WORDS : placeProbe(check + WORDS, offset);
    const p = timing === null ? behindCheck : behindCheck + WORDS;
    if (limit !== 0xffff_ffff && start + 8191 > limit) return decodeScratch(offset);
    const row = decodeOne(p, offset);
    const bytes = pool[p + BYTES]!;
    if (nextPagePhysical === -1 || nextPagePhysical >>> 0 >= ramSize) return decodeScratch(offset);
    const nextFrame = nextPagePhysical >>> 12;
    const beyond = offset + bytes - 4096;
    if (check !== entry) pseudo(entry, breakpointNumber, offset, 0);
    pseudo(check, nextPageCheckNumber, offset, 0);
    codeCache.mapOf(nextFrame);
    codeCache.cover(nextFrame, 0, beyond);
    if (row !== null) timing?.prepare(row, p, currentFrame + offset);
    pool[check + EXTRA] = nextFrame;
    pool[check + IMMEDIATE] = codeCache.versions[nextFrame]!;
    pseudo(p + WORDS, HotOperation.relocate, offset + bytes, 0);
    codeCache.cover(currentFrame >>> 12, offset, 4096 - offset);
    map[offset] = entry;
    codeCache.setTop(p + 2 * WORDS);
    return entry;
  }

  function continuesOnNextPage(p: number): number {
    s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
    const eip = (s[PAGE_EIP]! + pool[p + OFFSET]!) | 0;
    const next = (s[PAGE_EIP]! + s[CS_BASE]! + 4096) | 0;
    s[EIP] = eip;
    s[FETCHING] = 1;
    const nextFrame = paging.translateCode(next, s[MODE]!) >>> 12;
    s[FETCHING] = 0;
    if (nextFrame === pool[p + EXTRA] && codeCache.versions[nextFrame] === pool[p + IMMEDIATE])
      return p + WORDS;
    if (currentMap !== null) currentMap[pool[p + OFFSET]!] = 0;
    return locate(eip);
  }

  function decodeRun(map: Int32Array, start: number): number {
    const entry = codeCache.top();
    let p = entry;
    let offset = start;
    ahead = true;
    for (let count = 0; ; count++) {
      if (offset >= 4096 || count === RUN) {
        pseudo(p, HotOperation.relocate, offset, 0);
        p += WORDS;
        break;
      }
      const known = map[offset]!;
      if (known !== 0) {
        pseudo(p, HotOperation.continueAt, offset, known);
        p += WORDS;
        break;
      }
      const here = p;
      if (breakpoints.size !== 0 && mayBreakAt(offset)) {
        pseudo(p, breakpointNumber, offset, 0);
        p += WORDS;
      }
      if (decoder.probeAt !== null) p = placeProbe(p, offset);
      if (timing !== null) p += WORDS;
      const row = decodeOne(p, offset);
      if (row === null) {
        if (count === 0) return decodeStraddling(map, offset);
        pseudo(here, HotOperation.relocate, offset, 0);
        p = here + WORDS;
        break;
      }
      timing?.prepare(row, p, currentFrame + offset);
      map[offset] = here;
      codeCache.cover(currentFrame >>> 12, offset, pool[p + BYTES]!);
      offset += pool[p + BYTES]!;
      p += WORDS;
      if (row.transfersControl && row.operation !== "jcc") {
        // Behind a call or a loop the code most likely goes on, but not through this record.
        pseudo(p, HotOperation.relocate, offset, 0);
        p += WORDS;
        break;
      }
    }
    codeCache.setTop(p);
    return entry;
  }

  function enterPage(linear: number, eip: number): void {
    const physical = paging.translateCode(linear, s[MODE]!);
    const start = (eip - (linear & 0xfff)) >>> 0;
    const limit = s[CS_LIMIT]! >>> 0;
    currentFrame = physical & 0xfffff000;
    pageLinear = linear & 0xfffff000;
    const whole = limit === 0xffff_ffff || start + 4095 <= limit;
    currentMap = whole && currentFrame >>> 0 < ramSize ? codeCache.mapOf(currentFrame >>> 12) : null;
    s[CODE_PAGE] = linear >>> 12;
    s[CODE_FRAME] = currentFrame;
    s[PAGE_EIP] = start;
  }

  function resume(): void {
    const isValid = s[CODE_PAGE] !== -1;
    if (isValid) pageLinear = s[CODE_PAGE]! << 12;
    if (s[CODE_FRAME] === currentFrame) return;
    currentFrame = s[CODE_FRAME]!;
    currentMap = isValid ? codeCache.mapOf(currentFrame >>> 12) : null;
  }

  function locateSlow(linear: number, eip: number): number {
    s[EIP] = eip;
    s[FETCHING] = 1;
    if (linear >>> 12 !== s[CODE_PAGE]) enterPage(linear, eip);
    const offset = linear & 0xfff;
    let p = 0;
    if (currentMap === null) p = decodeScratch(offset);
    else {
      p = currentMap[offset]!;
      if (p === 0) {
        if (codeCache.isFull()) {
          codeCache.dropAll();
          enterPage(linear, eip);
        }
        p = decodeRun(currentMap!, offset);
        if (p >= FIRST_CACHED) decoder.onEntry?.(p, currentFrame >>> 12);
      }
    }
    s[FETCHING] = 0;
    return p;
  }

  function locate(eip: number): number {
    const linear = (eip + s[CS_BASE]!) | 0;
    if (linear >>> 12 === s[CODE_PAGE] && currentMap !== null) {
      const p = currentMap[linear & 0xfff]!;
      if (p !== 0) return p;
    }
    return locateSlow(linear, eip);
  }

  function checkTarget(eip: number): void {
    if (eip >>> 0 > s[CS_LIMIT]! >>> 0) raise(Vector.GP, 0);
  }

  function jump(eip: number): number {
    if (eip >>> 0 > s[CS_LIMIT]! >>> 0) raise(Vector.GP, 0);
    return locate(eip);
  }

  function link(p: number): number {
    const generation = codeCache.generation();
    const target = jump((s[PAGE_EIP]! + pool[p + IMMEDIATE]!) | 0);
    if (p >= FIRST_CACHED && target >= FIRST_CACHED && generation === codeCache.generation()) {
      pool[p + LINK] = target;
      if (target <= p) decoder.onEntry?.(target, currentFrame >>> 12);
    }
    return target;
  }

  const decoder: Decoder = {
    locate,
    jump,
    link,
    checkTarget,
    continuesOnNextPage,
    eipOf: (p) => (s[PAGE_EIP]! + pool[p + OFFSET]!) | 0,
    frame: () => currentFrame >>> 12,
    resume,
    onEntry: null,
    probeAt: null,
    breakpoints,
  };
  return decoder;
}
