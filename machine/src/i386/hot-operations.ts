/**
 * Names of the operation numbers that the engine (`../../engine/interpreter.ts`) has as cases of its switch, and the choice among them when an instruction is
 * decoded. Numbers from `FIRST_COLD` up are functions, one for each operation of the instruction table.
 */

import * as HotOperation from "../../engine/layout/hot-operations.ts";
import { instructions, type TableInstruction } from "./table.ts";

export { HotOperation };

export const FIRST_COLD = HotOperation.stale + 1;

/** Records that are no instructions. */
const pseudoNames = ["hostBreakpoint", "nextPageCheck", "probe"] as const;
const operationNames = [...new Set(instructions.map((row) => row.operation))];

/** Numbers of the operations that are functions, by the table's operation name; behind them those of records that are no instructions. */
export const coldNumbers: ReadonlyMap<string, number> = new Map(
  [...operationNames, ...pseudoNames].map((name, index) => [name, FIRST_COLD + index]),
);
export const FIRST_PSEUDO = FIRST_COLD + operationNames.length;

const arithmeticIndex: Readonly<Record<string, number>> = {
  ...{ add: 0, or: 1, adc: 2, sbb: 3, and: 4, sub: 5, xor: 6, cmp: 7 },
};
const shiftIndex: Readonly<Record<string, number>> = { shl: 0, shr: 1, sar: 2 };

/** What a decoded instruction looks like to the choice. */
export interface DecodedShape {
  /** Operand size in bytes. */
  readonly size: number;
  readonly isMemory: boolean;
  /** Address of a base register plus displacement, no index. */
  readonly isBased: boolean;
  /** 0: rm, reg. 1: reg, rm. 2: rm, immediate (or rm alone). */
  readonly form: number;
  readonly shiftByCl: boolean;
  /** Branch target lies in the same page. */
  readonly inPage: boolean;
  readonly condition: number;
  readonly addressSize16: boolean;
}

/** The hot operation for a decoded instruction, or 0 when it has none. */
export function chooseHotOperation(row: TableInstruction, shape: DecodedShape): number {
  const { size, isMemory, form } = shape;
  const hot = HotOperation;
  if (shape.addressSize16 && isMemory) return 0;
  const arithmetic = arithmeticIndex[row.operation];
  if (arithmetic !== undefined) {
    if (size === 4) {
      const variant = isMemory ? [3, 2, 4][form]! : form === 2 ? 1 : 0;
      // reg, rm with two registers is rm, reg with the operands exchanged; the decoder has exchanged them.
      return hot.arithmetic + arithmetic * 5 + variant;
    }
    if (size === 1 && row.operation === "cmp") {
      if (form === 2) return isMemory ? hot.cmp8MemoryImmediate : hot.cmp8RegisterImmediate;
      return isMemory ? 0 : hot.cmp8RegisterRegister;
    }
    return 0;
  }
  const shift = shiftIndex[row.operation];
  if (shift !== undefined) {
    if (size !== 4 || isMemory) return 0;
    return (shape.shiftByCl ? hot.shiftCl : hot.shiftImmediate) + shift;
  }
  switch (row.operation) {
    case "mov":
      if (size === 4) {
        if (!isMemory) return form === 2 ? hot.movRegisterImmediate : hot.movRegisterRegister;
        if (form === 2) return hot.movMemoryImmediate;
        if (form === 1) return shape.isBased ? hot.movRegisterBased : hot.movRegisterMemory;
        return shape.isBased ? hot.movBasedRegister : hot.movMemoryRegister;
      }
      if (size === 1) {
        if (!isMemory) return form === 2 ? hot.mov8RegisterImmediate : hot.mov8RegisterRegister;
        return [hot.mov8MemoryRegister, hot.mov8RegisterMemory, hot.mov8MemoryImmediate][form]!;
      }
      if (!isMemory || form === 2) return 0;
      return form === 1 ? hot.mov16RegisterMemory : hot.mov16MemoryRegister;
    case "movzx":
    case "movsx": {
      if (size !== 4) return 0;
      const first = row.operation === "movzx" ? hot.movzxRegister : hot.movsxRegister;
      if (!isMemory) return first;
      return row.operands[1] === "Eb" ? first + 1 : first + 2;
    }
    case "lea":
      return size === 4 ? hot.lea : 0;
    case "test":
      if (size === 4) {
        if (!isMemory) return form === 2 ? hot.testRegisterImmediate : hot.testRegisterRegister;
        return form === 2 ? hot.testMemoryImmediate : 0;
      }
      if (size !== 1 || isMemory) return 0;
      return form === 2 ? hot.test8RegisterImmediate : hot.test8RegisterRegister;
    case "inc":
      return size === 4 ? (isMemory ? hot.incMemory : hot.incRegister) : 0;
    case "dec":
      return size === 4 ? (isMemory ? hot.decMemory : hot.decRegister) : 0;
    case "neg":
      return size === 4 && !isMemory ? hot.negRegister : 0;
    case "not":
      return size === 4 && !isMemory ? hot.notRegister : 0;
    case "imulTruncated": {
      if (size !== 4) return 0;
      const withImmediate = row.operands.length === 3;
      if (isMemory) return withImmediate ? hot.imulMemoryImmediate : hot.imulMemory;
      return withImmediate ? hot.imulRegisterImmediate : hot.imulRegister;
    }
    case "push":
      if (size !== 4) return 0;
      if (row.immediates.length > 0) return hot.pushImmediate;
      return isMemory ? hot.pushMemory : hot.pushRegister;
    case "pop":
      return size === 4 && !isMemory ? hot.popRegister : 0;
    case "callNear":
      return size === 4 ? (shape.inPage ? hot.callInPage : hot.callFarPage) : 0;
    case "callIndirect":
      return size === 4 ? (isMemory ? hot.callMemory : hot.callRegister) : 0;
    case "jmpNear":
      return size === 4 ? (shape.inPage ? hot.jmpInPage : hot.jmpFarPage) : 0;
    case "jmpIndirect":
      return size === 4 ? (isMemory ? hot.jmpMemory : hot.jmpRegister) : 0;
    case "retNear":
      return size === 4 ? (row.immediates.length > 0 ? hot.retImmediate : hot.ret) : 0;
    case "jcc":
      return size === 4 ? (shape.inPage ? hot.jccInPage + shape.condition : hot.jccFar) : 0;
    case "leave":
      return size === 4 ? hot.leave : 0;
    case "nop":
      return hot.nop;
    case "cdq":
      return size === 4 ? hot.cdq : 0;
    case "setcc":
      return isMemory ? 0 : hot.setccRegister;
    case "int":
      return hot.int;
    case "iret":
      return size === 4 ? hot.iret : 0;
    case "movToSegment":
      return isMemory ? 0 : hot.movToSegment;
    case "popSegment":
      return size === 4 ? hot.popSegment : 0;
    default:
      return 0;
  }
}

/** By number: the operation of the instruction table of which a hot operation is a form. */
export const generalOperations: ReadonlyMap<number, string> = (() => {
  const hot = HotOperation;
  const general = new Map<number, string>();
  const add = (name: string, first: number, last = first): void => {
    for (let number = first; number <= last; number++) general.set(number, name);
  };
  add("mov", hot.movRegisterRegister, hot.mov16MemoryRegister);
  add("movzx", hot.movzxRegister, hot.movzxMemory16);
  add("movsx", hot.movsxRegister, hot.movsxMemory16);
  add("lea", hot.lea);
  for (const [name, index] of Object.entries(arithmeticIndex)) {
    add(name, hot.arithmetic + index * 5, hot.arithmetic + index * 5 + 4);
  }
  add("test", hot.testRegisterRegister, hot.test8RegisterRegister);
  add("inc", hot.incRegister);
  add("dec", hot.decRegister);
  add("inc", hot.incMemory);
  add("dec", hot.decMemory);
  add("neg", hot.negRegister);
  add("not", hot.notRegister);
  for (const [name, index] of Object.entries(shiftIndex)) {
    add(name, hot.shiftImmediate + index);
    add(name, hot.shiftCl + index);
  }
  add("imulTruncated", hot.imulRegister, hot.imulMemoryImmediate);
  add("push", hot.pushRegister, hot.pushMemory);
  add("pop", hot.popRegister);
  add("callNear", hot.callInPage);
  add("callIndirect", hot.callRegister, hot.callMemory);
  add("retNear", hot.ret, hot.retImmediate);
  add("jmpNear", hot.jmpInPage);
  add("jmpIndirect", hot.jmpRegister, hot.jmpMemory);
  add("jcc", hot.jccInPage, hot.jccFar);
  add("leave", hot.leave);
  add("nop", hot.nop);
  add("cdq", hot.cdq);
  add("setcc", hot.setccRegister);
  add("cmp", hot.cmp8RegisterImmediate, hot.cmp8RegisterRegister);
  add("test", hot.test8RegisterImmediate);
  add("callNear", hot.callFarPage);
  add("jmpNear", hot.jmpFarPage);
  add("int", hot.int);
  add("iret", hot.iret);
  add("movToSegment", hot.movToSegment);
  add("popSegment", hot.popSegment);
  return general;
})();
