/**
 * Decides, instruction by instruction while a case runs on our machine, whether its result can be compared with another processor's: what a
 * Pentium and later processors do differently by their manuals ends the comparison, and results that the manual leaves undefined are
 * followed until something reads them. So a mutated case needs no expectations of its own.
 *
 * Vetted is also that a case stays in its slot and its memory: elsewhere different hosts have different things.
 */

import { datumSize } from "../../i386/disassembler.ts";
import { AC, AF, CF, NT, OF, PF, SF, TF, ZF } from "../../i386/instruction.ts";
import type { ReadInstruction } from "../../i386/instruction-reader.ts";
import { definesConditions, isTranscendental } from "../instructions/floating-point-cases.ts";
import * as layout from "../instructions/layout.ts";
import { CASE_DESCRIPTORS, CASE_SELECTORS } from "../instructions/layout.ts";

const [ECX, EBX, ESP, EBP, ESI, EDI] = [1, 3, 4, 5, 6, 7] as const;
/** Flags that the conditions read, in pairs. */
const CONDITION_FLAGS = [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF];
const PAGE = 4096;
const PAGE_FAULT = 14;
const PROTECTION = 13;
const ALIGNMENT = 17;
const IMAGE_SIZE = 108;
/** Bytes around address 0 that one access may reach from the other side. */
const WRAPPED = 128;

/** The state before an instruction. */
export interface VettedState {
  readonly registers: Int32Array;
  readonly eflags: number;
  /** Bytes at an address, little-endian; 0 where nothing is mapped. */
  readonly load: (address: number, size: number) => number;
  /** First address of the case's slot. */
  readonly slot: number;
  /** The case's own in the GDT. */
  readonly descriptors: Uint8Array | undefined;
}

/** Identification, time and what the host's kernel emulates; INT1 saves different EIPs. */
const MACHINE_SPECIFIC = new Set(["cpuid", "rdtsc", "sgdt", "sidt", "sldt", "str", "smsw", "int1"]);
const SEVERAL_WORDS = /^(retFar|iret|enter|pusha|popa)$/;
/** Words above a far return's arguments may be read before its selector is looked at. */
const NEAR_WORDS = 64;
const SHIFTS = new Set(["rol", "ror", "rcl", "rcr", "shl", "shr", "sar"]);
const ROTATES = new Set(["rol", "ror", "rcl", "rcr"]);

/** Opcodes that no processor defines, or defines only with other operands; behind 0F from 100h on. */
function isUndefinedEverywhere(bytes: Uint8Array, opcodeAt: number): boolean {
  const twoByte = bytes[opcodeAt] === 0x0f;
  const opcode = bytes[opcodeAt + (twoByte ? 1 : 0)]!;
  const modrm = bytes[opcodeAt + (twoByte ? 2 : 1)]!;
  const [isRegister, digit] = [modrm >= 0xc0, (modrm >> 3) & 7];
  switch ((twoByte ? 0x100 : 0) | opcode) {
    case 0xfe:
      return digit >= 2;
    case 0xff:
      return digit === 7 || (isRegister && (digit === 3 || digit === 5));
    case 0x8d:
      return isRegister;
    case 0xc6:
    case 0xc7:
      return digit >= 1 && digit <= 6;
    case 0x100:
      return digit >= 6;
    case 0x1ba:
      return digit < 4;
    case 0x1b2:
    case 0x1b4:
    case 0x1b5:
      return isRegister;
    case 0x1c7:
      return isRegister && digit === 1;
    default:
      return false;
  }
}

/** Address of the memory operand, 0 based; undefined without one. Bit strings reach beyond it. */
export function operandAddress(
  { address, addressSize16, row, modrm, operandSize16 }: ReadInstruction,
  registers: Int32Array,
): number | undefined {
  if (!address) return undefined;
  const { base, index, scale, displacement } = address;
  let sum = displacement;
  if (base >= 0) sum += registers[base]!;
  if (index >= 0) sum += Math.imul(registers[index]!, scale);
  if (addressSize16) sum &= 0xffff;
  if (/^bt/.test(row.operation) && row.operands.includes("Gv")) {
    const size = operandSize16 ? 2 : 4;
    const offset = registers[(modrm >> 3) & 7]!;
    sum += (operandSize16 ? ((offset << 16) >> 16) >> 4 : offset >> 5) * size;
  }
  return sum >>> 0;
}

function isKnownSelector(selector: number, ownDescriptors: boolean): boolean {
  const own = selector - CASE_SELECTORS;
  if (ownDescriptors && own >= 0 && own < 8 * CASE_DESCRIPTORS) return true;
  // Null, the local table (there is none), and what Linux and the bare harness have alike.
  if (selector < 4 || (selector & 4) !== 0 || selector >= 0xfff0) return true;
  return [0x08, 0x10, 0x18, 0x20, 0x28].includes(selector & ~3);
}

export class Vetting {
  /** Flags that the instructions so far have left undefined. */
  undefinedFlags = 0;
  /** The x87 has been initialised by the case; C0, C2, C3 are defined. */
  #x87 = false;
  conditionsDefined = true;

  /** Why the case cannot be compared if this instruction runs next; undefined when it can. */
  refuse(bytes: Uint8Array, read: ReadInstruction | undefined, state: VettedState): string | undefined {
    // More than 15 bytes: #GP everywhere.
    if (!read) return undefined;
    const { row } = read;
    if (row.number === 0) {
      let opcodeAt = 0;
      while ([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67].includes(bytes[opcodeAt]!)) opcodeAt++;
      return isUndefinedEverywhere(bytes, opcodeAt) ? undefined : "opcodes of later processors";
    }
    if (MACHINE_SPECIFIC.has(row.operation)) return "results are the machine's own";
    const isX87 = (row.opcode >= 0xd8 && row.opcode <= 0xdf && !row.twoByte) || row.operation === "fwait";
    return (
      this.#refuseFlags(read, state) ??
      (isX87 ? this.#refuseX87(read, state) : refuseInteger(read, state)) ??
      refusePlaces(read, state)
    );
  }

  #refuseFlags({ row }: ReadInstruction, { eflags }: VettedState): string | undefined {
    if (eflags & (TF | NT)) return "single steps and nested tasks are the harness's";
    const isCondition = row.operation === "jcc" || row.operation === "setcc";
    const flagsRead = isCondition ? CONDITION_FLAGS[(row.opcode & 15) >> 1]! : row.flagsRead;
    return flagsRead & this.undefinedFlags ? "undefined flags are read" : undefined;
  }

  #refuseX87(read: ReadInstruction, { registers }: VettedState): string | undefined {
    const { row, operandSize16 } = read;
    if (row.operation === "fninit") this.#x87 = true;
    if (!this.#x87) return "the x87 is not initialised";
    if (isTranscendental(row)) return "last bits of transcendental functions are a processor's own";
    if (operandSize16) return "16-bit images of the x87 hold pointers";
    if (row.operation === "fnstenv") return "pointers of the x87 are stored";
    if (row.operation === "fnstsw" && !this.conditionsDefined) return "undefined conditions are read";
    const address = row.memory === "write" ? operandAddress(read, registers) : undefined;
    const writable =
      address === undefined || (address >= layout.DATA && address < layout.DATA_END - IMAGE_SIZE);
    return writable ? undefined : "whether a store checks its page that is not made";
  }

  /** Why the case cannot be compared (with Bochs, or with the host's processor) after this instruction has ended with an exception. */
  refuseFault({ row, immediates }: ReadInstruction, vector: number, withBochs: boolean): string | undefined {
    // Bochs reads the selector first; processors read the offset, whose alignment is checked.
    if (withBochs && vector === ALIGNMENT && /FarPointer$|FarIndirect$/.test(row.operation))
      return "which half of a far pointer is read first";
    const several = vector === PAGE_FAULT && SEVERAL_WORDS.test(row.operation);
    if (row.operation === "cmps") return "which operand faults first";
    // Bochs pushes first.
    if (vector === PROTECTION && /^call/.test(row.operation)) return "whether a call checks its target first";
    const far = row.operation === "retFar" && (immediates[0] ?? 0) > NEAR_WORDS;
    return several || far ? "which of several words faults first" : undefined;
  }

  /** The instruction has run to its end. */
  ran(read: ReadInstruction, state: VettedState): void {
    const { row, repeat, addressSize16 } = read;
    if (row.opcode >= 0xd8 && row.opcode <= 0xdf && !row.twoByte && row.operation !== "fnsave") {
      const keeps = /^(fnstcw|fldcw|fnstsw|fnop|fneni|fndisi|fnsetpm)$/.test(row.operation);
      if (definesConditions(row) || /^(fninit|frstor|fldenv|fnclex)$/.test(row.operation)) {
        this.conditionsDefined = true;
      } else if (!keeps) this.conditionsDefined = false;
    }
    if (repeat !== 0 && row.repeat !== "none" && count(addressSize16, state) === 0) return;
    let [written, undefinedNow] = [row.flagsWritten, row.flagsUndefined];
    if (SHIFTS.has(row.operation) || row.operation === "shld" || row.operation === "shrd") {
      const by = shiftCount(read, state);
      if (by === 0) return;
      if (by !== 1) undefinedNow |= OF;
      if (/^sh[lr]$/.test(row.operation) && by >= 8 * sizeOf(read)) undefinedNow |= CF;
      written &= ~undefinedNow;
      if (ROTATES.has(row.operation)) undefinedNow &= ~(ZF | SF | PF | AF);
    }
    this.undefinedFlags = (this.undefinedFlags & ~written) | undefinedNow;
  }
}

function sizeOf(read: ReadInstruction): number {
  const code = read.row.operands.find((operand) => /^[EM]/.test(operand));
  return (code === undefined ? 0 : datumSize(code, read.operandSize16)) || (read.operandSize16 ? 2 : 4);
}

function count(addressSize16: boolean, { registers }: VettedState): number {
  return addressSize16 ? registers[ECX]! & 0xffff : registers[ECX]!;
}

function shiftCount({ row, immediates }: ReadInstruction, { registers }: VettedState): number {
  if (row.operands.includes("CL")) return registers[ECX]! & 31;
  return row.operands.includes("1") ? 1 : immediates[0]! & 31;
}

/** The value of the E or M operand. */
function operandValue(read: ReadInstruction, state: VettedState, size: number): number {
  const address = operandAddress(read, state.registers);
  if (address !== undefined) return state.load(address, size);
  const value = state.registers[read.modrm & 7]!;
  return size === 2 ? value & 0xffff : value;
}

/** The selector that the instruction loads or asks about. */
export function selectorOf(read: ReadInstruction, state: VettedState): number | undefined {
  const size = read.operandSize16 ? 2 : 4;
  const stack = (words: number) => state.load(state.registers[ESP]! + words * size, 2);
  switch (read.row.operation) {
    case "movToSegment":
    case "lar":
    case "lsl":
    case "verr":
    case "verw":
      return operandValue(read, state, 2) & 0xffff;
    case "popSegment":
      return stack(0);
    case "retFar":
    case "iret":
      return stack(1);
    case "jmpFar":
    case "callFar":
      return read.immediates[1];
    case "loadFarPointer":
    case "jmpFarIndirect":
    case "callFarIndirect": {
      const address = operandAddress(read, state.registers);
      return address === undefined ? undefined : state.load(address + size, 2);
    }
    default:
      return undefined;
  }
}

function refuseInteger(read: ReadInstruction, state: VettedState): string | undefined {
  const { row, operandSize16, addressSize16, repeat, modrm, lock } = read;
  const reg = (modrm >> 3) & 7;
  const selector = selectorOf(read, state);
  if (selector !== undefined && !isKnownSelector(selector, state.descriptors !== undefined))
    return "segments of the host";
  const checksAlignment = (state.eflags & AC) !== 0;
  switch (row.operation) {
    case "verr":
    case "verw":
      return lock ? "locked tests of segments" : undefined;
    case "popSegment":
      return checksAlignment && !operandSize16 ? "how much of a selector's word is read" : undefined;
    case "cmpxchg8b":
      return checksAlignment ? "how 8 bytes are aligned" : undefined;
    case "loope":
    case "loopne":
      return repeat !== 0 ? "conditions of LOOP with a repeat prefix" : undefined;
    case "bsf":
    case "bsr":
      if (repeat !== 0) return "counts of zeros on later processors";
      return operandValue(read, state, operandSize16 ? 2 : 4) === 0 ? "undefined destination" : undefined;
    case "bswap":
      return operandSize16 ? "undefined destination" : undefined;
    case "movFromSegment":
      return modrm >= 0xc0 && !operandSize16 ? "undefined half of the destination" : undefined;
    case "pushSegment":
      return operandSize16 ? undefined : "undefined half of a pushed selector";
    case "lar":
      return operandSize16 ? undefined : "undefined bits of access rights";
    case "shld":
    case "shrd":
      return shiftCount(read, state) > 8 * (operandSize16 ? 2 : 4) ? "undefined shift" : undefined;
    case "ins":
    case "outs":
      return repeat !== 0 && count(addressSize16, state) === 0 ? "rights without a transfer" : undefined;
    case "movs":
      return addressSize16 ? "which operand faults first" : undefined;
    case "int":
      return read.immediates[0] === 0x80 ? "system calls" : undefined;
    case "movToControl":
    case "movFromControl":
      return lock || ![0, 2, 3, 4].includes(reg) ? "control registers of later processors" : undefined;
    case "movToDebug":
    case "movFromDebug":
      return reg === 4 || reg === 5 ? "debug registers of later processors" : undefined;
    default:
      return undefined;
  }
}

/** Code slots of the largest batch, and a page more. */
const CODE_SIZE = 0x1_0000;
const isHarness = (address: number): boolean =>
  (address >= layout.HARNESS - PAGE && address < layout.HARNESS + 0x10_0000) ||
  (address >= layout.CASES - PAGE && address < layout.RESULTS + 0x10_0000);

/** Where only the harness or another case has memory. Pushes from the own slot may reach the one before, which has run. */
function isForeign(address: number, slot: number): boolean {
  if (address >= slot - layout.SLOT_SIZE && address < slot + layout.SLOT_SIZE - 16) return false;
  return isHarness(address) || (address >= layout.CODE - 64 && address < layout.CODE + CODE_SIZE);
}

/** Addresses in registers that the instruction uses without naming them. */
function impliedPlaces({ row }: ReadInstruction, registers: Int32Array): number[] {
  const places: number[] = [];
  if (/^(push|pop|call|ret|iret|enter|leave)/.test(row.operation)) places.push(registers[ESP]!);
  if (/^(enter|leave)/.test(row.operation)) places.push(registers[EBP]!);
  if (row.operation === "xlatb") places.push(registers[EBX]!);
  if (row.operands.some((code) => code.startsWith("X"))) places.push(registers[ESI]!);
  if (row.operands.some((code) => code.startsWith("Y"))) places.push(registers[EDI]!);
  return places.map((place) => place >>> 0);
}

function refusePlaces(read: ReadInstruction, { registers, slot }: VettedState): string | undefined {
  const address = read.row.memory === "address" ? undefined : operandAddress(read, registers);
  const places = impliedPlaces(read, registers);
  if (address !== undefined) places.push(address);
  if (places.some((place) => isForeign(place, slot))) return "memory of others";
  const wraps = places.some((place) => place < WRAPPED || place > 2 ** 32 - WRAPPED);
  return wraps ? "whether an access may wrap at 4 GB" : undefined;
}

/** Whether code may be reached there: in the slot, or where nothing is mapped on any host. */
export function isOwnCode(eip: number, slot: number): boolean {
  if (eip >= slot && eip < slot + layout.SLOT_SIZE) return true;
  const mapped = eip >= layout.DATA - PAGE && eip < layout.READ_ONLY + PAGE;
  return !mapped && !isHarness(eip) && !(eip >= layout.CODE - PAGE && eip < layout.CODE + CODE_SIZE);
}
