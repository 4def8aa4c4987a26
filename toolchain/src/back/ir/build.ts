/**
 * Makes instructions: every pass that adds code does it through a `Builder`, which folds what it can on the way
 * (`fold.ts`), so that no later pass sees `x + 0`.
 */
import { fold } from "./fold.ts";
import {
  Block,
  Instruction,
  type Operation,
  type Routine,
  type Type,
  type ValueType,
} from "./instructions.ts";

export interface Attributes {
  readonly symbol?: string | undefined;
  readonly offset?: number;
  readonly width?: 1 | 2 | 4 | 8;
  readonly signed?: boolean;
  readonly wide?: boolean;
}

export function newRoutine(name: string, parameters: readonly ValueType[], result: Type): Routine {
  const assignedParameters = new Set<number>();
  return { name, parameters, result, assignedParameters, blocks: [], nextValue: 0, nextBlock: 0 };
}

export function newBlock(routine: Routine): Block {
  return new Block(routine.nextBlock++);
}

export class Builder {
  readonly routine: Routine;
  block: Block;
  /** Position given to new instructions. */
  position = -1;
  /** Set by value numbering: an existing instruction that stands for a new one. */
  find: ((i: Instruction) => Instruction | undefined) | undefined = undefined;

  constructor(routine: Routine, block: Block) {
    this.routine = routine;
    this.block = block;
  }

  /** Appends an instruction to the current block, or returns the simpler value that it equals. */
  make(operation: Operation, type: Type, operands: Instruction[], attributes: Attributes = {}): Instruction {
    const i = this.create(operation, type, operands, attributes);
    const simpler = fold(i, this);
    if (simpler !== undefined) return simpler;
    const known = this.find?.(i);
    if (known) return known;
    this.block.instructions.push(i);
    return i;
  }

  /** An instruction that stands in no block yet. */
  create(
    operation: Operation,
    type: Type,
    operands: Instruction[],
    attributes: Attributes = {},
  ): Instruction {
    const i = new Instruction(this.routine.nextValue++, operation, type, operands, this.block);
    if (attributes.symbol !== undefined) i.symbol = attributes.symbol;
    if (attributes.offset !== undefined) i.offset = attributes.offset;
    if (attributes.width !== undefined) i.width = attributes.width;
    if (attributes.signed !== undefined) i.signed = attributes.signed;
    if (attributes.wide !== undefined) i.wide = attributes.wide;
    i.position = this.position;
    return i;
  }

  phi(type: Type, block: Block): Instruction {
    const i = new Instruction(this.routine.nextValue++, "phi", type, [], block);
    i.position = this.position;
    block.phis.push(i);
    return i;
  }

  constant(type: ValueType, value: number | bigint): Instruction {
    const i = this.create("constant", type, []);
    i.constant = normalise(type, value);
    const known = this.find?.(i);
    if (known) return known;
    this.block.instructions.push(i);
    return i;
  }

  i32(value: number): Instruction {
    return this.constant("i32", value);
  }

  i64(value: bigint): Instruction {
    return this.constant("i64", value);
  }
}

function normalise(type: ValueType, value: number | bigint): number | bigint {
  switch (type) {
    case "i32":
      return Number(value) | 0;
    case "i64":
      return BigInt.asIntN(64, BigInt(value));
    case "f32":
      return Math.fround(Number(value));
    default:
      return Number(value);
  }
}
