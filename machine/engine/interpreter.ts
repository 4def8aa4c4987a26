/**
 * The interpreter: one loop over decoded instructions with one switch over the dense operation numbers of layout.ts, because that is two to
 * ten times as fast as functions in a table, by calls or by tail calls (measured). That is the reason for this file's length.
 *
 * A case does its instruction on the fast path alone. What it cannot do (a page that is not in the soft TLB, a limit, misalignment, a
 * fault) it has not begun, and leaves by `break`: the general handler of the operation then does the whole instruction. So each case
 * looks first at all that may be in its way, and changes state last.
 *
 * BUDGET and RETIRED are locals inside the loop; all that leaves the loop finds them written. Clocks are booked before the instruction runs,
 * so that ports see the time they should.
 */

import { ADMITTED, admit, PAGE_FAULT } from "./admission";
import { below, belowOrEqual, carryNow, condition, less, lessOrEqual, sign, zero } from "./conditions";
import { visited } from "./counted-entries";
import { linkBranch, locateKnown, locateUnknown, refresh } from "./decoder";
import { interrupt, interruptReturn, NO_ERROR_CODE, SOFTWARE } from "./gates";
import { cold, pageFaulted } from "./imports";
import { POOL, RAM, STATE } from "./layout/addresses";
import { CACHED_END, FIRST_CACHED } from "./layout/code-cache";
import * as Field from "./layout/fields";
import * as FlagKind from "./layout/flag-kinds";
import * as HotOperation from "./layout/hot-operations";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { MISS, readable, writable } from "./memory";
import { effectiveAddress } from "./operands";
import { enterRegion } from "./regions";
import { loadSegment } from "./segments";
import { get, set } from "./state";
import { account, isDetailed, timeRead, timeWrite } from "./timing";

const EAX = STATE + (Slot.EAX << 2);
const EDX = STATE + (Slot.EDX << 2);
const ESP = STATE + (Slot.ESP << 2);
const EBP = STATE + (Slot.EBP << 2);
const CL = STATE + (Slot.ECX << 2);
const BUDGET_WORD = STATE + (Slot.BUDGET << 2);
const RETIRED_WORD = STATE + (Slot.RETIRED << 2);
const PAGE_EIP = STATE + (Slot.PAGE_EIP << 2);
const CS_LIMIT = STATE + ((Slot.LIMIT + Segment.CS) << 2);
const FLAG_KIND = STATE + (Slot.FLAG_KIND << 2);
const FLAG_RESULT = STATE + (Slot.FLAG_RESULT << 2);
const FLAG_LEFT = STATE + (Slot.FLAG_LEFT << 2);
const FLAG_RIGHT = STATE + (Slot.FLAG_RIGHT << 2);
const FLAG_CARRY = STATE + (Slot.FLAG_CARRY << 2);

// Fields of the record at byte offset `q` of the pool.
const OPERATION = POOL + (Field.OPERATION << 2);
const CLOCKS = POOL + (Field.CLOCKS << 2);
const OFFSET = POOL + (Field.OFFSET << 2);
const BYTES = POOL + (Field.BYTES << 2);
const REG = POOL + (Field.REG << 2);
const RM = POOL + (Field.RM << 2);
const BASE = POOL + (Field.BASE << 2);
const DISPLACEMENT = POOL + (Field.DISPLACEMENT << 2);
const SEGMENT = POOL + (Field.SEGMENT << 2);
const IMMEDIATE = POOL + (Field.IMMEDIATE << 2);
const LINK = POOL + (Field.LINK << 2);
const EXTRA = POOL + (Field.EXTRA << 2);
/** Bytes of a record. */
const RECORD = Field.WORDS << 2;

// The families of operations, one name each: a case label must be a constant to become a place in the jump table.
const ADD_RR = HotOperation.arithmetic;
const ADD_RI = HotOperation.arithmetic + 1;
const ADD_RM = HotOperation.arithmetic + 2;
const ADD_MR = HotOperation.arithmetic + 3;
const ADD_MI = HotOperation.arithmetic + 4;
const OR_RR = HotOperation.arithmetic + 5;
const OR_RI = HotOperation.arithmetic + 6;
const OR_RM = HotOperation.arithmetic + 7;
const OR_MR = HotOperation.arithmetic + 8;
const OR_MI = HotOperation.arithmetic + 9;
const ADC_RR = HotOperation.arithmetic + 10;
const ADC_RI = HotOperation.arithmetic + 11;
const ADC_RM = HotOperation.arithmetic + 12;
const ADC_MR = HotOperation.arithmetic + 13;
const ADC_MI = HotOperation.arithmetic + 14;
const SBB_RR = HotOperation.arithmetic + 15;
const SBB_RI = HotOperation.arithmetic + 16;
const SBB_RM = HotOperation.arithmetic + 17;
const SBB_MR = HotOperation.arithmetic + 18;
const SBB_MI = HotOperation.arithmetic + 19;
const AND_RR = HotOperation.arithmetic + 20;
const AND_RI = HotOperation.arithmetic + 21;
const AND_RM = HotOperation.arithmetic + 22;
const AND_MR = HotOperation.arithmetic + 23;
const AND_MI = HotOperation.arithmetic + 24;
const SUB_RR = HotOperation.arithmetic + 25;
const SUB_RI = HotOperation.arithmetic + 26;
const SUB_RM = HotOperation.arithmetic + 27;
const SUB_MR = HotOperation.arithmetic + 28;
const SUB_MI = HotOperation.arithmetic + 29;
const XOR_RR = HotOperation.arithmetic + 30;
const XOR_RI = HotOperation.arithmetic + 31;
const XOR_RM = HotOperation.arithmetic + 32;
const XOR_MR = HotOperation.arithmetic + 33;
const XOR_MI = HotOperation.arithmetic + 34;
const CMP_RR = HotOperation.arithmetic + 35;
const CMP_RI = HotOperation.arithmetic + 36;
const CMP_RM = HotOperation.arithmetic + 37;
const CMP_MR = HotOperation.arithmetic + 38;
const CMP_MI = HotOperation.arithmetic + 39;
const SHL_IMMEDIATE = HotOperation.shiftImmediate;
const SHR_IMMEDIATE = HotOperation.shiftImmediate + 1;
const SAR_IMMEDIATE = HotOperation.shiftImmediate + 2;
const SHL_CL = HotOperation.shiftCl;
const SHR_CL = HotOperation.shiftCl + 1;
const SAR_CL = HotOperation.shiftCl + 2;
const JO = HotOperation.jccInPage;
const JNO = HotOperation.jccInPage + 1;
const JB = HotOperation.jccInPage + 2;
const JAE = HotOperation.jccInPage + 3;
const JE = HotOperation.jccInPage + 4;
const JNE = HotOperation.jccInPage + 5;
const JBE = HotOperation.jccInPage + 6;
const JA = HotOperation.jccInPage + 7;
const JS = HotOperation.jccInPage + 8;
const JNS = HotOperation.jccInPage + 9;
const JP = HotOperation.jccInPage + 10;
const JNP = HotOperation.jccInPage + 11;
const JL = HotOperation.jccInPage + 12;
const JGE = HotOperation.jccInPage + 13;
const JLE = HotOperation.jccInPage + 14;
const JG = HotOperation.jccInPage + 15;

/** What is to be done behind the switch. */
const COLD: i32 = 0;
const LOCATE: i32 = 1;
const RESOLVE: i32 = 2;
const ENTER: i32 = 3;
const REFRESH: i32 = 4;
/** The engine could not do the instruction, or not all of it: the general handler does. */
const HANDLE: i32 = 5;

function basedAddress(q: i32): i32 {
  return load<i32>(load<i32>(q, BASE) << 2, STATE) + load<i32>(q, DISPLACEMENT);
}

function source(q: i32, size: i32): i32 {
  return readable(load<i32>(q, SEGMENT), effectiveAddress(q), size);
}

function target(q: i32, size: i32): i32 {
  return writable(load<i32>(q, SEGMENT), effectiveAddress(q), size);
}

function reg(q: i32): i32 {
  return load<i32>(load<i32>(q, REG) << 2, STATE);
}

function setReg(q: i32, value: i32): void {
  store<i32>(load<i32>(q, REG) << 2, value, STATE);
}

function rm(q: i32): i32 {
  return load<i32>(load<i32>(q, RM) << 2, STATE);
}

function setRm(q: i32, value: i32): void {
  store<i32>(load<i32>(q, RM) << 2, value, STATE);
}

function save(kind: i32, left: i32, right: i32, result: i32): void {
  store<i32>(FLAG_LEFT, left);
  store<i32>(FLAG_RIGHT, right);
  store<i32>(FLAG_RESULT, result);
  store<i32>(FLAG_KIND, kind);
}

function add(left: i32, right: i32): i32 {
  const result = left + right;
  save(FlagKind.ADD, left, right, result);
  return result;
}

function adc(left: i32, right: i32): i32 {
  const carryIn = carryNow();
  const result = left + right + carryIn;
  save(FlagKind.ADD + carryIn, left, right, result);
  return result;
}

function sub(left: i32, right: i32): i32 {
  const result = left - right;
  save(FlagKind.SUB, left, right, result);
  return result;
}

function sbb(left: i32, right: i32): i32 {
  const carryIn = carryNow();
  const result = left - right - carryIn;
  save(FlagKind.SUB + carryIn, left, right, result);
  return result;
}

function logic(result: i32): i32 {
  store<i32>(FLAG_RESULT, result);
  store<i32>(FLAG_KIND, FlagKind.LOGIC);
  return result;
}

function compare8(left: i32, right: i32): void {
  save(FlagKind.SUB, left, right, ((left - right) << 24) >> 24);
}

/** INC and DEC keep the carry. */
function keepCarry(): void {
  const kind = load<i32>(FLAG_KIND);
  if (kind !== FlagKind.INC && kind !== FlagKind.DEC) store<i32>(FLAG_CARRY, carryNow());
}

function inc(value: i32): i32 {
  keepCarry();
  save(FlagKind.INC, value, 1, value + 1);
  return value + 1;
}

function dec(value: i32): i32 {
  keepCarry();
  save(FlagKind.DEC, value, 1, value - 1);
  return value - 1;
}

function imul(left: i32, right: i32): i32 {
  const product = (left as i64) * (right as i64);
  const result = product as i32;
  const overflow: i32 = product !== (result as i64) ? 1 : 0;
  save(FlagKind.GIVEN, overflow, overflow, result);
  return result;
}

// Shifts of the register operand; a count of 0 changes nothing.

function shl(q: i32, count: i32): void {
  if (count === 0) return;
  const value = rm(q);
  const result = value << count;
  const out = (value >>> (32 - count)) & 1;
  save(FlagKind.GIVEN, out, out ^ (result >>> 31), result);
  setRm(q, result);
}

function shr(q: i32, count: i32): void {
  if (count === 0) return;
  const value = rm(q);
  const result = value >>> count;
  save(FlagKind.GIVEN, (value >>> (count - 1)) & 1, value >>> 31, result);
  setRm(q, result);
}

function sar(q: i32, count: i32): void {
  if (count === 0) return;
  const value = rm(q);
  const result = value >> count;
  save(FlagKind.GIVEN, (value >> (count - 1)) & 1, 0, result);
  setRm(q, result);
}

/** Offset in CS behind the instruction. */
function behind(q: i32): i32 {
  return load<i32>(PAGE_EIP) + load<i32>(q, OFFSET) + load<i32>(q, BYTES);
}

function branchTarget(q: i32): i32 {
  return load<i32>(PAGE_EIP) + load<i32>(q, IMMEDIATE);
}

function isOutside(eip: i32): bool {
  return (eip as u32) > load<u32>(CS_LIMIT);
}

/** Runs from pool index `start` until BUDGET is used up; returns the pool index of the next instruction, or a negative number (FAULTED). */
export function execute(start: i32): i32 {
  return run<i32>(start);
}

/** The same with the detailed cycle model. */
export function executeDetailed(start: i32): i32 {
  return run<i64>(start);
}

function run<Model>(start: i32): i32 {
  let q = start << 2;
  let budget = load<i32>(BUDGET_WORD);
  let retired = load<i32>(RETIRED_WORD);
  let way = COLD;
  let eip: i32 = 0;
  do {
    budget -= load<i32>(q, CLOCKS);
    retired++;
    switch (load<i32>(q, OPERATION)) {
      case HotOperation.relocate: {
        retired--;
        eip = load<i32>(PAGE_EIP) + load<i32>(q, OFFSET);
        way = LOCATE;
        break;
      }
      case HotOperation.continueAt: {
        retired--;
        q = load<i32>(q, LINK) << 2;
        continue;
      }
      case HotOperation.movRegisterRegister: {
        setRm(q, reg(q));
        q += RECORD;
        continue;
      }
      case HotOperation.movRegisterImmediate: {
        setRm(q, load<i32>(q, IMMEDIATE));
        q += RECORD;
        continue;
      }
      case HotOperation.movRegisterMemory: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, load<i32>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movMemoryRegister: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, reg(q), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movMemoryImmediate: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, load<i32>(q, IMMEDIATE), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movRegisterBased: {
        const at = readable(load<i32>(q, SEGMENT), basedAddress(q), 4);
        if (at === MISS) break;
        setReg(q, load<i32>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movBasedRegister: {
        const at = writable(load<i32>(q, SEGMENT), basedAddress(q), 4);
        if (at === MISS) break;
        store<i32>(at, reg(q), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.mov8RegisterRegister: {
        store<u8>(load<i32>(q, RM), load<u8>(load<i32>(q, REG), STATE), STATE);
        q += RECORD;
        continue;
      }
      case HotOperation.mov8RegisterMemory: {
        const at = source(q, 1);
        if (at === MISS) break;
        store<u8>(load<i32>(q, REG), load<u8>(at, RAM), STATE);
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.mov8MemoryRegister: {
        const at = target(q, 1);
        if (at === MISS) break;
        store<u8>(at, load<u8>(load<i32>(q, REG), STATE), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.mov8RegisterImmediate: {
        store<u8>(load<i32>(q, RM), load<u8>(q, IMMEDIATE), STATE);
        q += RECORD;
        continue;
      }
      case HotOperation.mov8MemoryImmediate: {
        const at = target(q, 1);
        if (at === MISS) break;
        store<u8>(at, load<u8>(q, IMMEDIATE), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.mov16RegisterMemory: {
        const at = source(q, 2);
        if (at === MISS) break;
        store<u16>(load<i32>(q, REG) << 1, load<u16>(at, RAM), STATE);
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.mov16MemoryRegister: {
        const at = target(q, 2);
        if (at === MISS) break;
        store<u16>(at, load<u16>(load<i32>(q, REG) << 1, STATE), RAM);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movzxRegister: {
        const from = load<i32>(q, RM);
        setReg(q, load<i32>(q, EXTRA) === 1 ? load<u8>(from, STATE) : load<u16>(from << 1, STATE));
        q += RECORD;
        continue;
      }
      case HotOperation.movzxMemory8: {
        const at = source(q, 1);
        if (at === MISS) break;
        setReg(q, load<u8>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movzxMemory16: {
        const at = source(q, 2);
        if (at === MISS) break;
        setReg(q, load<u16>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movsxRegister: {
        const from = load<i32>(q, RM);
        setReg(q, load<i32>(q, EXTRA) === 1 ? load<i8>(from, STATE) : load<i16>(from << 1, STATE));
        q += RECORD;
        continue;
      }
      case HotOperation.movsxMemory8: {
        const at = source(q, 1);
        if (at === MISS) break;
        setReg(q, load<i8>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.movsxMemory16: {
        const at = source(q, 2);
        if (at === MISS) break;
        setReg(q, load<i16>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.lea: {
        setReg(q, effectiveAddress(q));
        q += RECORD;
        continue;
      }
      case ADD_RR: {
        setRm(q, add(rm(q), reg(q)));
        q += RECORD;
        continue;
      }
      case ADD_RI: {
        setRm(q, add(rm(q), load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case ADD_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, add(reg(q), load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case ADD_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, add(load<i32>(at, RAM), reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case ADD_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, add(load<i32>(at, RAM), load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case OR_RR: {
        setRm(q, logic(rm(q) | reg(q)));
        q += RECORD;
        continue;
      }
      case OR_RI: {
        setRm(q, logic(rm(q) | load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case OR_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, logic(reg(q) | load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case OR_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) | reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case OR_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) | load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case ADC_RR: {
        setRm(q, adc(rm(q), reg(q)));
        q += RECORD;
        continue;
      }
      case ADC_RI: {
        setRm(q, adc(rm(q), load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case ADC_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, adc(reg(q), load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case ADC_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, adc(load<i32>(at, RAM), reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case ADC_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, adc(load<i32>(at, RAM), load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SBB_RR: {
        setRm(q, sbb(rm(q), reg(q)));
        q += RECORD;
        continue;
      }
      case SBB_RI: {
        setRm(q, sbb(rm(q), load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case SBB_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, sbb(reg(q), load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SBB_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, sbb(load<i32>(at, RAM), reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SBB_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, sbb(load<i32>(at, RAM), load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case AND_RR: {
        setRm(q, logic(rm(q) & reg(q)));
        q += RECORD;
        continue;
      }
      case AND_RI: {
        setRm(q, logic(rm(q) & load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case AND_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, logic(reg(q) & load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case AND_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) & reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case AND_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) & load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SUB_RR: {
        setRm(q, sub(rm(q), reg(q)));
        q += RECORD;
        continue;
      }
      case SUB_RI: {
        setRm(q, sub(rm(q), load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case SUB_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, sub(reg(q), load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SUB_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, sub(load<i32>(at, RAM), reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case SUB_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, sub(load<i32>(at, RAM), load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case XOR_RR: {
        setRm(q, logic(rm(q) ^ reg(q)));
        q += RECORD;
        continue;
      }
      case XOR_RI: {
        setRm(q, logic(rm(q) ^ load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case XOR_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, logic(reg(q) ^ load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case XOR_MR: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) ^ reg(q)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case XOR_MI: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, logic(load<i32>(at, RAM) ^ load<i32>(q, IMMEDIATE)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case CMP_RR: {
        sub(rm(q), reg(q));
        q += RECORD;
        continue;
      }
      case CMP_RI: {
        sub(rm(q), load<i32>(q, IMMEDIATE));
        q += RECORD;
        continue;
      }
      case CMP_RM: {
        const at = source(q, 4);
        if (at === MISS) break;
        sub(reg(q), load<i32>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case CMP_MR: {
        const at = source(q, 4);
        if (at === MISS) break;
        sub(load<i32>(at, RAM), reg(q));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case CMP_MI: {
        const at = source(q, 4);
        if (at === MISS) break;
        sub(load<i32>(at, RAM), load<i32>(q, IMMEDIATE));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.testRegisterRegister: {
        logic(rm(q) & reg(q));
        q += RECORD;
        continue;
      }
      case HotOperation.testRegisterImmediate: {
        logic(rm(q) & load<i32>(q, IMMEDIATE));
        q += RECORD;
        continue;
      }
      case HotOperation.testMemoryImmediate: {
        const at = source(q, 4);
        if (at === MISS) break;
        logic(load<i32>(at, RAM) & load<i32>(q, IMMEDIATE));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.test8RegisterRegister: {
        logic(load<i8>(load<i32>(q, RM), STATE) & load<i8>(load<i32>(q, REG), STATE));
        q += RECORD;
        continue;
      }
      case HotOperation.incRegister: {
        setRm(q, inc(rm(q)));
        q += RECORD;
        continue;
      }
      case HotOperation.decRegister: {
        setRm(q, dec(rm(q)));
        q += RECORD;
        continue;
      }
      case HotOperation.incMemory: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, inc(load<i32>(at, RAM)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.decMemory: {
        const at = target(q, 4);
        if (at === MISS) break;
        store<i32>(at, dec(load<i32>(at, RAM)), RAM);
        budget = timeRead<Model>(budget, at);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.negRegister: {
        setRm(q, sub(0, rm(q)));
        q += RECORD;
        continue;
      }
      case HotOperation.notRegister: {
        setRm(q, ~rm(q));
        q += RECORD;
        continue;
      }
      case SHL_IMMEDIATE: {
        shl(q, load<i32>(q, IMMEDIATE) & 31);
        q += RECORD;
        continue;
      }
      case SHR_IMMEDIATE: {
        shr(q, load<i32>(q, IMMEDIATE) & 31);
        q += RECORD;
        continue;
      }
      case SAR_IMMEDIATE: {
        sar(q, load<i32>(q, IMMEDIATE) & 31);
        q += RECORD;
        continue;
      }
      case SHL_CL: {
        shl(q, load<i32>(CL) & 31);
        q += RECORD;
        continue;
      }
      case SHR_CL: {
        shr(q, load<i32>(CL) & 31);
        q += RECORD;
        continue;
      }
      case SAR_CL: {
        sar(q, load<i32>(CL) & 31);
        q += RECORD;
        continue;
      }
      case HotOperation.imulRegister: {
        setReg(q, imul(reg(q), rm(q)));
        q += RECORD;
        continue;
      }
      case HotOperation.imulMemory: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, imul(reg(q), load<i32>(at, RAM)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.imulRegisterImmediate: {
        setReg(q, imul(rm(q), load<i32>(q, IMMEDIATE)));
        q += RECORD;
        continue;
      }
      case HotOperation.imulMemoryImmediate: {
        const at = source(q, 4);
        if (at === MISS) break;
        setReg(q, imul(load<i32>(at, RAM), load<i32>(q, IMMEDIATE)));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.pushRegister: {
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, rm(q), RAM);
        store<i32>(ESP, top);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.pushImmediate: {
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, load<i32>(q, IMMEDIATE), RAM);
        store<i32>(ESP, top);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.pushMemory: {
        const from = source(q, 4);
        if (from === MISS) break;
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, load<i32>(from, RAM), RAM);
        store<i32>(ESP, top);
        budget = timeRead<Model>(budget, from);
        budget = timeWrite<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.popRegister: {
        const top = load<i32>(ESP);
        const at = readable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(ESP, top + 4);
        setRm(q, load<i32>(at, RAM));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.callInPage: {
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, behind(q), RAM);
        store<i32>(ESP, top);
        budget = timeWrite<Model>(budget, at);
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case HotOperation.callRegister: {
        eip = rm(q);
        if (isOutside(eip)) break;
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, behind(q), RAM);
        store<i32>(ESP, top);
        budget = timeWrite<Model>(budget, at);
        way = LOCATE;
        break;
      }
      case HotOperation.callMemory: {
        const from = source(q, 4);
        if (from === MISS) break;
        eip = load<i32>(from, RAM);
        if (isOutside(eip)) break;
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, behind(q), RAM);
        store<i32>(ESP, top);
        budget = timeRead<Model>(budget, from);
        budget = timeWrite<Model>(budget, at);
        way = LOCATE;
        break;
      }
      case HotOperation.ret: {
        const top = load<i32>(ESP);
        const at = readable(Segment.SS, top, 4);
        if (at === MISS) break;
        eip = load<i32>(at, RAM);
        if (isOutside(eip)) break;
        store<i32>(ESP, top + 4);
        budget = timeRead<Model>(budget, at);
        way = LOCATE;
        break;
      }
      case HotOperation.retImmediate: {
        const top = load<i32>(ESP);
        const at = readable(Segment.SS, top, 4);
        if (at === MISS) break;
        eip = load<i32>(at, RAM);
        if (isOutside(eip)) break;
        store<i32>(ESP, top + 4 + load<i32>(q, IMMEDIATE));
        budget = timeRead<Model>(budget, at);
        way = LOCATE;
        break;
      }
      case HotOperation.jmpInPage: {
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case HotOperation.jmpRegister: {
        eip = rm(q);
        if (!isOutside(eip)) way = LOCATE;
        break;
      }
      case HotOperation.jmpMemory: {
        const from = source(q, 4);
        if (from === MISS) break;
        eip = load<i32>(from, RAM);
        if (isOutside(eip)) break;
        budget = timeRead<Model>(budget, from);
        way = LOCATE;
        break;
      }
      case JO: {
        if (!condition(0)) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JNO: {
        if (!condition(1)) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JB: {
        if (!below()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JAE: {
        if (below()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JE: {
        if (!zero()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JNE: {
        if (zero()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JBE: {
        if (!belowOrEqual()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JA: {
        if (belowOrEqual()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JS: {
        if (!sign()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JNS: {
        if (sign()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JP: {
        if (!condition(10)) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JNP: {
        if (!condition(11)) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JL: {
        if (!less()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JGE: {
        if (less()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JLE: {
        if (!lessOrEqual()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case JG: {
        if (lessOrEqual()) {
          q += RECORD;
          continue;
        }
        const place = load<i32>(q, LINK);
        if (place === 0) {
          way = RESOLVE;
          break;
        }
        q = place << 2;
        continue;
      }
      case HotOperation.jccFar: {
        if (!condition(load<i32>(q, EXTRA))) {
          q += RECORD;
          continue;
        }
        eip = branchTarget(q);
        if (!isOutside(eip)) way = LOCATE;
        break;
      }
      case HotOperation.leave: {
        const frame = load<i32>(EBP);
        const at = readable(Segment.SS, frame, 4);
        if (at === MISS) break;
        store<i32>(EBP, load<i32>(at, RAM));
        store<i32>(ESP, frame + 4);
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.nop: {
        q += RECORD;
        continue;
      }
      case HotOperation.cdq: {
        store<i32>(EDX, load<i32>(EAX) >> 31);
        q += RECORD;
        continue;
      }
      case HotOperation.setccRegister: {
        store<u8>(load<i32>(q, RM), condition(load<i32>(q, EXTRA)) ? 1 : 0, STATE);
        q += RECORD;
        continue;
      }
      case HotOperation.cmp8RegisterImmediate: {
        compare8(load<i8>(load<i32>(q, RM), STATE), load<i8>(q, IMMEDIATE));
        q += RECORD;
        continue;
      }
      case HotOperation.cmp8MemoryImmediate: {
        const at = source(q, 1);
        if (at === MISS) break;
        compare8(load<i8>(at, RAM), load<i8>(q, IMMEDIATE));
        budget = timeRead<Model>(budget, at);
        q += RECORD;
        continue;
      }
      case HotOperation.cmp8RegisterRegister: {
        compare8(load<i8>(load<i32>(q, RM), STATE), load<i8>(load<i32>(q, REG), STATE));
        q += RECORD;
        continue;
      }
      case HotOperation.test8RegisterImmediate: {
        logic(load<i8>(load<i32>(q, RM), STATE) & load<i8>(q, IMMEDIATE));
        q += RECORD;
        continue;
      }
      case HotOperation.callFarPage: {
        eip = branchTarget(q);
        if (isOutside(eip)) break;
        const top = load<i32>(ESP) - 4;
        const at = writable(Segment.SS, top, 4);
        if (at === MISS) break;
        store<i32>(at, behind(q), RAM);
        store<i32>(ESP, top);
        budget = timeWrite<Model>(budget, at);
        way = LOCATE;
        break;
      }
      case HotOperation.jmpFarPage: {
        eip = branchTarget(q);
        if (!isOutside(eip)) way = LOCATE;
        break;
      }
      case HotOperation.int: {
        store<i32>(BUDGET_WORD, budget);
        way = interrupt(load<i32>(q, IMMEDIATE), SOFTWARE, NO_ERROR_CODE, behind(q)) ? LOCATE : HANDLE;
        budget = load<i32>(BUDGET_WORD);
        eip = get(Slot.EIP);
        break;
      }
      case HotOperation.iret: {
        store<i32>(BUDGET_WORD, budget);
        way = interruptReturn(behind(q)) ? LOCATE : HANDLE;
        budget = load<i32>(BUDGET_WORD);
        eip = get(Slot.EIP);
        break;
      }
      case HotOperation.movToSegment: {
        const segment = load<i32>(q, REG);
        if (!isData(segment)) break;
        store<i32>(BUDGET_WORD, budget);
        const isLoaded = loadSegment(segment, load<u16>(load<i32>(q, RM) << 1, STATE));
        budget = load<i32>(BUDGET_WORD);
        if (!isLoaded) break;
        q += RECORD;
        continue;
      }
      case HotOperation.popSegment: {
        const segment = load<i32>(q, REG);
        const top = load<i32>(ESP);
        const at = readable(Segment.SS, top, 2);
        if (!isData(segment) || at === MISS) break;
        store<i32>(BUDGET_WORD, budget);
        const isLoaded = loadSegment(segment, load<u16>(at, RAM));
        budget = load<i32>(BUDGET_WORD);
        if (!isLoaded) break;
        store<i32>(ESP, top + 4);
        q += RECORD;
        continue;
      }
      // The instruction stands in a record of its own, and behind that how often it may still be visited.
      case HotOperation.countedEntry: {
        retired--;
        const copy = load<i32>(q, LINK) << 2;
        const left = load<i32>(copy + RECORD, EXTRA);
        if (left > 0) {
          store<i32>(copy + RECORD, left - 1, EXTRA);
          q = copy;
          continue;
        }
        way = ENTER;
        break;
      }
      case HotOperation.stale: {
        retired--;
        way = REFRESH;
        break;
      }
      // In front of every instruction, in the detailed model alone.
      case HotOperation.account: {
        retired--;
        if (!isDetailed<Model>()) break;
        budget = account(budget, q);
        q = load<i32>(q, LINK) << 2;
        continue;
      }
    }
    if (way === LOCATE) {
      const known = locateKnown(eip);
      if (known !== 0) {
        visited(known);
        way = COLD;
        q = known << 2;
        continue;
      }
    }
    store<i32>(BUDGET_WORD, budget);
    store<i32>(RETIRED_WORD, retired);
    const next = leave(q >> 2, way, eip);
    if (next < 0) return next;
    way = COLD;
    q = next << 2;
    budget = load<i32>(BUDGET_WORD);
    retired = load<i32>(RETIRED_WORD);
  } while (budget > 0);
  store<i32>(BUDGET_WORD, budget);
  store<i32>(RETIRED_WORD, retired);
  return q >> 2;
}

/** Whether a segment register is DS, ES, FS or GS. */
function isData(segment: i32): bool {
  return segment <= Segment.GS && segment !== Segment.CS && segment !== Segment.SS;
}

function leave(p: i32, way: i32, eip: i32): i32 {
  switch (way) {
    case LOCATE:
      return arrive(p, locateUnknown(eip));
    case RESOLVE:
      return linkBranch(p);
    case ENTER:
      return enterRegion(p);
    case REFRESH:
      return refresh(p);
    case HANDLE:
      return arrive(p, cold(p));
    default:
      return general(p);
  }
}

/** An instruction without a case, or one whose fast path does not hold. */
function general(p: i32): i32 {
  const found = admit(p << 2);
  if (found === PAGE_FAULT) return arrive(p, pageFaulted(p));
  const budget = get(Slot.BUDGET) + load<i32>(p << 2, CLOCKS);
  // It runs again as if it had not been met yet; not when time is up by that: it must run now.
  if (found !== ADMITTED || budget <= 0) return arrive(p, cold(p));
  set(Slot.BUDGET, budget);
  set(Slot.RETIRED, get(Slot.RETIRED) - 1);
  return p;
}

/** Where to go on. Places that are looked up, as behind gates and returns, are visited like targets of indirect branches. */
function arrive(p: i32, next: i32): i32 {
  const isBehind = next === p || next === p + Field.WORDS;
  if (!isBehind && next >= FIRST_CACHED && next < CACHED_END) visited(next);
  return next;
}
