/**
 * Chains of calls, from the registers of code that runs: by the call frame information of its images, and where there is none, by
 * frame pointers (EBP at the caller's EBP and the return address). Only reads; a chain ends where something cannot be read.
 */
import { Cursor, type FrameRules, type FrameTable } from "./frame-table.ts";

export interface Frame {
  /** An address in the function; behind a call, of the call. */
  readonly eip: number;
  /** Ring of the code, where a trap's frame tells it. */
  readonly ring: number | undefined;
}

/** A word at an address as the code sees it; undefined where nothing is mapped. */
export type LoadWord = (address: number) => number | undefined;

const [ESP, EBP, EIP] = [4, 5, 8] as const;
const LONGEST_CHAIN = 128;
/** Code selectors are smaller, and the flags of a state that a task gate left are not. */
const MOST_SELECTOR = 0x200;

/** Runs a DWARF expression (section 2.5) with an address on its stack; undefined when it cannot be. */
function evaluate(
  operations: Uint8Array,
  first: number | undefined,
  registers: readonly number[],
  load: LoadWord,
): number | undefined {
  const code = new Cursor(operations);
  const stack: number[] = first === undefined ? [] : [first];
  const pop = () => {
    const value = stack.pop();
    if (value === undefined) throw new RangeError("the expression's stack is empty");
    return value;
  };
  const binary = (operation: (a: number, b: number) => number) => {
    const right = pop();
    stack.push(operation(pop(), right) | 0);
  };
  try {
    for (let steps = 0; !code.atEnd && steps < 1000; steps++) {
      const operation = code.u8();
      if (operation >= 0x30 && operation < 0x50) stack.push(operation - 0x30);
      else if (operation >= 0x70 && operation < 0x79)
        stack.push((registers[operation - 0x70] + code.signed()) | 0);
      else {
        switch (operation) {
          case 0x06: {
            const value = load(pop() >>> 0);
            if (value === undefined) return undefined;
            stack.push(value | 0);
            break;
          }
          case 0x08:
            stack.push(code.u8());
            break;
          case 0x09:
            stack.push(code.s8());
            break;
          case 0x0a:
            stack.push(code.u16());
            break;
          case 0x0c:
            stack.push(code.u32() | 0);
            break;
          case 0x12: {
            const value = pop();
            stack.push(value, value);
            break;
          }
          case 0x1a:
            binary((a, b) => a & b);
            break;
          case 0x1c:
            binary((a, b) => a - b);
            break;
          case 0x1e:
            binary(Math.imul);
            break;
          case 0x22:
            binary((a, b) => a + b);
            break;
          case 0x23:
            stack.push((pop() + code.unsigned()) | 0);
            break;
          case 0x25:
            binary((a, b) => a >>> b);
            break;
          case 0x28: {
            const distance = (code.u16() << 16) >> 16;
            if (pop() !== 0) code.at += distance;
            break;
          }
          case 0x2f: {
            const distance = (code.u16() << 16) >> 16;
            code.at += distance;
            break;
          }
          default:
            return undefined;
        }
      }
    }
    return pop();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

interface Caller {
  readonly registers: number[];
  /** Where its instruction pointer was saved. */
  readonly place: number | undefined;
}

/** The caller's registers by rules; undefined when there is none. */
function callerByRules(
  { frame, registers: rules, returnRegister }: FrameRules,
  registers: readonly number[],
  load: LoadWord,
): Caller | undefined {
  const address =
    frame.kind === "register"
      ? registers[frame.register] + frame.offset
      : evaluate(frame.operations, undefined, registers, load);
  if (address === undefined) return undefined;
  const caller = [...registers];
  caller[ESP] = address | 0;
  let place: number | undefined;
  for (const [register, rule] of rules) {
    if (rule.kind === "undefined") {
      if (register === returnRegister) return undefined;
      continue;
    }
    const saved =
      rule.kind === "offset"
        ? address + rule.offset
        : evaluate(rule.operations, address | 0, registers, load);
    const value = saved === undefined ? undefined : load(saved >>> 0);
    if (value === undefined) return undefined;
    if (register === returnRegister) {
      place = saved;
      caller[EIP] = value | 0;
    } else if (register < EIP) caller[register] = value | 0;
  }
  return { registers: caller, place };
}

function callerByFramePointer(
  registers: readonly number[],
  load: LoadWord,
  isCode: (address: number) => boolean,
): Caller | undefined {
  const frame = registers[EBP] >>> 0;
  if (frame < registers[ESP] >>> 0) return undefined;
  const [outer, eip] = [load(frame), load(frame + 4)];
  if (outer === undefined || eip === undefined || !isCode(eip - 1)) return undefined;
  const caller = [...registers];
  caller[ESP] = (frame + 8) | 0;
  caller[EBP] = outer | 0;
  caller[EIP] = eip | 0;
  return { registers: caller, place: frame + 4 };
}

/**
 * The chain of calls, innermost first. `registers`: EAX to EDI by number, then EIP. `isCode`: whether a function is known there; the
 * chain goes no further than known code.
 */
export function unwind(
  registers: readonly number[],
  frames: FrameTable,
  load: LoadWord,
  isCode: (address: number) => boolean,
): Frame[] {
  const chain: Frame[] = [{ eip: registers[EIP] >>> 0, ring: undefined }];
  let now = registers;
  let lookUp = now[EIP] >>> 0;
  while (chain.length < LONGEST_CHAIN) {
    const rules = frames.rulesAt(lookUp);
    const caller = rules ? callerByRules(rules, now, load) : callerByFramePointer(now, load, isCode);
    if (!caller || (caller.registers[EIP] === now[EIP] && caller.registers[ESP] === now[ESP])) break;
    now = caller.registers;
    const eip = now[EIP] >>> 0;
    // A call's return address may be that of the next function.
    lookUp = rules?.interrupted ? eip : eip - 1;
    if (!isCode(lookUp) && !frames.rulesAt(lookUp)) break;
    const selector =
      rules?.interrupted && caller.place !== undefined ? load((caller.place + 4) >>> 0) : undefined;
    const ring = selector !== undefined && selector < MOST_SELECTOR ? selector & 3 : undefined;
    chain.push({ eip: lookUp, ring });
  }
  return chain;
}
