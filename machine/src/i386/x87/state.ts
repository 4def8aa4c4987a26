/**
 * State of the unit and what all instructions share: raising exceptions, stack faults, the deferred rounding direction, and
 * saving and loading the whole.
 *
 * Deferred direction. An add, multiply, divide or square root in doubles leaves operands and result in `deferred` instead of
 * working out C1, if the precision exception is already flagged (it is sticky, so C1 is all that is left to know). `settle`
 * works it out when somebody looks, and every instruction outside the fast path calls it first. Until then C1 in `status`
 * is 0.
 */

import { arithmetic, squareRoot } from "./arithmetic.ts";
import { Computation } from "./computation.ts";
import type { FloatingPointMemory } from "./contract.ts";
import { Direction, roundingDirection, squareRootOperation } from "./double.ts";
import {
  Environment,
  environmentSize,
  ImageMemory,
  readEnvironment,
  writeEnvironment,
} from "./environment.ts";
import { Exception, Extended, Status } from "./extended.ts";
import { RegisterStack } from "./registers.ts";

/** Rounding to nearest, 53 bits: the only mode of the double path. */
const doubleControl = 0x027f;
const none = -1;

export class FloatingPointState {
  readonly registers = new RegisterStack();
  readonly computation = new Computation();
  control = 0x037f;
  /** The status word without TOP. */
  status = 0;
  /** True when arithmetic rounds to nearest double and precision is masked. */
  doublesAllowed = false;

  instructionPointer = 0;
  codeSelector = 0;
  opcode = 0;
  operandOffset = 0;
  operandSelector = 0;

  private deferredOperation = none;
  /** First operand, second operand, result. */
  private readonly deferred = new Float64Array(3);

  private readonly environment = new Environment();
  private readonly left = new Extended();
  private readonly right = new Extended();

  reset(): void {
    this.setControl(0x037f);
    this.status = 0;
    this.deferredOperation = none;
    this.registers.clear();
    this.instructionPointer = 0;
    this.codeSelector = 0;
    this.opcode = 0;
    this.operandOffset = 0;
    this.operandSelector = 0;
  }

  /** Sets the control word; bit 6 reads as 1 and the bits that a 387 does not have read as 0, but for bit 12. */
  setControl(word: number): void {
    this.control = (word & 0x1f3f) | 0x40;
    this.doublesAllowed = (word & 0x0f20) === 0x0220;
    this.summarize();
  }

  /** Makes ES and B say whether an unmasked exception is flagged. */
  summarize(): void {
    if ((this.status & ~this.control & Exception.all) !== 0) this.status |= Status.errorSummary | Status.busy;
    else this.status &= ~(Status.errorSummary | Status.busy);
  }

  raise(exceptions: number): void {
    this.status |= exceptions;
    if ((exceptions & ~this.control & Exception.all) !== 0) this.status |= Status.errorSummary | Status.busy;
  }

  get statusWord(): number {
    this.settle();
    return this.status | (this.registers.top << 11);
  }

  clearC1(): void {
    this.deferredOperation = none;
    this.status &= ~Status.c1;
  }

  setC1(value: boolean): void {
    this.deferredOperation = none;
    if (value) this.status |= Status.c1;
    else this.status &= ~Status.c1;
  }

  setConditions(bits: number): void {
    this.deferredOperation = none;
    this.status = (this.status & ~Status.conditions) | bits;
  }

  /** Takes note of an operation done in doubles. */
  defer(operation: number, a: number, b: number, result: number): void {
    this.status &= ~Status.c1;
    this.deferredOperation = operation;
    this.deferred[0] = a;
    this.deferred[1] = b;
    this.deferred[2] = result;
    if ((this.status & Exception.precision) === 0) this.settle();
  }

  settle(): void {
    const operation = this.deferredOperation;
    if (operation === none) return;
    this.deferredOperation = none;
    let direction = roundingDirection(operation, this.deferred[0], this.deferred[1], this.deferred[2]);
    if (direction === Direction.unknown) direction = this.recompute(operation);
    this.rounded(direction);
  }

  /** Flags and C1 of a rounding. */
  rounded(direction: Direction): void {
    if (direction === Direction.exact) return;
    this.raise(Exception.precision);
    if (direction === Direction.up) this.status |= Status.c1;
  }

  private recompute(operation: number): Direction {
    const scratch = new RegisterStack();
    const { left, right, computation: c } = this;
    scratch.number[0] = this.deferred[0];
    scratch.number[1] = this.deferred[1];
    scratch.form.fill(1, 0, 2);
    scratch.read(0, left);
    scratch.read(1, right);
    c.begin(doubleControl);
    if (operation === squareRootOperation) squareRoot(c, left, left);
    else arithmetic(c, left, operation, left, right);
    if ((c.exceptions & Exception.precision) === 0) return Direction.exact;
    return c.roundedUp ? Direction.up : Direction.down;
  }

  /**
   * Takes over the exceptions and C1 of the computation. False when an unmasked exception that precedes computing means that
   * nothing else may change.
   */
  commit(): boolean {
    const c = this.computation;
    const early = c.exceptions & Exception.beforeComputing;
    if ((early & ~this.control) !== 0) {
      this.raise(early);
      this.clearC1();
      return false;
    }
    this.raise(c.exceptions);
    this.setC1(c.roundedUp);
    return true;
  }

  /** Flags a stack overflow (C1 set) or underflow; true when it is masked and the caller delivers an indefinite. */
  stackFault(overflow: boolean): boolean {
    this.raise(Exception.invalid | Status.stackFault);
    this.setC1(overflow);
    return (this.control & Exception.invalid) !== 0;
  }

  storeEnvironment(memory: FloatingPointMemory, operandSize16: boolean): void {
    const e = this.environment;
    e.control = this.control;
    e.status = this.statusWord;
    e.tags = this.registers.tagWord();
    e.instructionPointer = this.instructionPointer;
    e.codeSelector = this.codeSelector;
    e.opcode = this.opcode;
    e.operandOffset = this.operandOffset;
    e.operandSelector = this.operandSelector;
    writeEnvironment(memory, e, operandSize16);
  }

  loadEnvironment(memory: FloatingPointMemory, operandSize16: boolean): void {
    readEnvironment(memory, this.environment, operandSize16);
    this.takeEnvironment();
  }

  private takeEnvironment(): void {
    const e = this.environment;
    this.deferredOperation = none;
    this.registers.top = (e.status >>> 11) & 7;
    this.status = e.status & ~0x3800;
    this.setControl(e.control);
    this.registers.setTagWord(e.tags);
    this.instructionPointer = e.instructionPointer;
    this.codeSelector = e.codeSelector;
    this.opcode = e.opcode;
    this.operandOffset = e.operandOffset;
    this.operandSelector = e.operandSelector;
  }

  /** The environment, then ST(0) to ST(7), ten bytes each. */
  storeAll(memory: FloatingPointMemory, operandSize16: boolean): void {
    this.storeEnvironment(memory, operandSize16);
    let offset: number = operandSize16 ? environmentSize.bits16 : environmentSize.bits32;
    const x = this.left;
    for (let i = 0; i < 8; i++, offset += 10) {
      this.registers.read((this.registers.top + i) & 7, x);
      memory.write32(offset, x.low >>> 0);
      memory.write32(offset + 4, x.high >>> 0);
      memory.write16(offset + 8, (x.sign << 15) | x.exponent);
    }
  }

  loadAll(memory: FloatingPointMemory, operandSize16: boolean): void {
    readEnvironment(memory, this.environment, operandSize16);
    const start = operandSize16 ? environmentSize.bits16 : environmentSize.bits32;
    // All reads come before the first change: a fault must leave the unit as it was.
    const words = new Int32Array(24);
    for (let i = 0; i < 8; i++) {
      words[3 * i] = memory.read32(start + 10 * i);
      words[3 * i + 1] = memory.read32(start + 10 * i + 4);
      words[3 * i + 2] = memory.read16(start + 10 * i + 8);
    }
    const { registers, left: x } = this;
    const top = (this.environment.status >>> 11) & 7;
    for (let i = 0; i < 8; i++) {
      x.low = words[3 * i];
      x.high = words[3 * i + 1];
      x.sign = words[3 * i + 2] >>> 15;
      x.exponent = words[3 * i + 2] & 0x7fff;
      registers.write((top + i) & 7, x);
    }
    this.takeEnvironment();
  }

  save(): Uint8Array {
    const image = new Uint8Array(108);
    this.storeAll(new ImageMemory(image), false);
    return image;
  }

  restore(image: Uint8Array): void {
    this.loadAll(new ImageMemory(image), false);
  }
}
