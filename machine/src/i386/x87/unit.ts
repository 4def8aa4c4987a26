/**
 * The Pentium's floating-point unit: decodes D8 to DF, takes the fast path where doubles give the architectural result, and leaves
 * everything else to `operations.ts`. Source: Intel, Pentium Processor Family Developer's Manual, volume 3, chapters 6, 7
 * and 25, and appendix A for the opcode maps.
 *
 * Fast path. It needs registers in double form (`registers.ts`), which are zeros and normal doubles, so neither NaNs nor denormals
 * nor infinities occur. Arithmetic in doubles is right when precision control is 53 bits, rounding is to nearest, and the result is
 * a normal double or an exact zero: x87 rounds to 53 bits without narrowing the exponent, which then makes no difference. Loads, stores
 * of doubles and comparisons are exact in any mode. C1 and the inexact flag come from the exact error (`double.ts`).
 *
 * Undocumented aliases that the processor decodes (DC D0, DC D8, DD C8, DE D0, DF C0, DF C8, DF D0, DF D8, D9 D8) do what the
 * instruction they duplicate does. FENI, FDISI and FSETPM do nothing.
 */

import { Operation } from "./arithmetic.ts";
import { clocks } from "./clocks.ts";
import type { FloatingPointHost, FloatingPointMemory, FloatingPointUnit } from "./contract.ts";
import { fromDouble, fromInteger, fromSingle } from "./conversions.ts";
import { directionOf, roundDouble, squareRootOperation } from "./double.ts";
import { environmentSize } from "./environment.ts";
import { Exception, Extended, Status } from "./extended.ts";
import * as operations from "./operations.ts";
import { Form } from "./registers.ts";
import { FloatingPointState } from "./state.ts";

const undefinedOpcode = -1;

/** Smallest normal double: at or below it a product or quotient may have been rounded as a denormal. */
const smallestNormal = 2.2250738585072014e-308;
const largestSingle = 3.4028234663852886e38;
const smallestNormalSingle = 1.1754943508222875e-38;

const floats = new Float64Array(1);
/** Low word first. */
const words = new Int32Array(floats.buffer);
const singles = new Float32Array(1);
const singleWords = new Int32Array(singles.buffer);

const operand = new Extended();

/** Whether the fast path is used: without it every instruction goes through the reference, for tests and doubt. */
export const Path = { fast: 0, reference: 1 } as const;
export type Path = (typeof Path)[keyof typeof Path];

class Pentium87 extends FloatingPointState implements FloatingPointUnit {
  /** 1 for a register that the fast path may use; no form equals it in reference mode. */
  private readonly usable: number;
  /** What the last memory operand was: plain when `floats[0]` holds a zero or a normal double. */
  private plain = false;
  private denormal = false;

  constructor(path: Path) {
    super();
    this.usable = path === Path.fast ? Form.double : 0xff;
  }

  get errorPending(): boolean {
    return (this.status & Status.errorSummary) !== 0;
  }

  isWaiting(group: number, modrm: number): boolean {
    const register = (modrm >>> 3) & 7;
    if (modrm < 0xc0) {
      if (group === 1 || group === 5) return register < 6;
      return true;
    }
    if (group === 3) return modrm < 0xe0 || modrm > 0xe4;
    return !(group === 7 && modrm === 0xe0);
  }

  execute(
    group: number,
    modrm: number,
    memory: FloatingPointMemory,
    host: FloatingPointHost,
    address: number,
    dataSelector: number,
  ): number {
    if (modrm >= 0xc0) {
      const spent = this.registerForm(group, modrm, host);
      if (spent >= 0 && !isControlRegisterForm(group, modrm)) this.record(group, modrm, host);
      return spent;
    }
    const register = (modrm >>> 3) & 7;
    const spent = this.memoryForm(group, register, memory, host);
    // Loads, stores and arithmetic leave a trail; the control instructions do not.
    if (spent >= 0 && !((group === 1 || group === 5) && register >= 4)) {
      this.record(group, modrm, host);
      this.operandOffset = address | 0;
      this.operandSelector = dataSelector;
    }
    return spent;
  }

  private record(group: number, modrm: number, host: FloatingPointHost): void {
    this.instructionPointer = host.instructionPointer | 0;
    this.codeSelector = host.codeSelector;
    this.opcode = (group << 8) | modrm;
  }

  private memoryForm(
    group: number,
    register: number,
    memory: FloatingPointMemory,
    host: FloatingPointHost,
  ): number {
    switch (group) {
      case 0:
        this.readSingle(memory);
        return this.operandArithmetic(register, false);
      case 4:
        this.readDouble(memory);
        return this.operandArithmetic(register, false);
      case 2:
        this.setIntegerOperand(memory.read32(0) | 0);
        return this.operandArithmetic(register, true);
      case 6:
        this.setIntegerOperand((memory.read16(0) << 16) >> 16);
        return this.operandArithmetic(register, true);
      case 1:
        return this.memoryForm1(register, memory, host);
      case 3:
        return this.memoryForm3(register, memory);
      case 5:
        return this.memoryForm5(register, memory, host);
      default:
        return this.memoryForm7(register, memory);
    }
  }

  private memoryForm1(register: number, memory: FloatingPointMemory, host: FloatingPointHost): number {
    switch (register) {
      case 0:
        this.readSingle(memory);
        this.loadOperand();
        return clocks.loadReal;
      case 2:
      case 3:
        this.storeSingle(memory, register === 3);
        return clocks.storeReal;
      case 4:
        this.loadEnvironment(memory, host.operandSize16);
        return host.operandSize16 ? clocks.loadEnvironment16 : clocks.loadEnvironment32;
      case 5: {
        const word = memory.read16(0);
        this.settle();
        this.setControl(word);
        return clocks.loadControlWord;
      }
      case 6: {
        const { operandSize16 } = host;
        memory.probeWrite(operandSize16 ? environmentSize.bits16 : environmentSize.bits32);
        this.storeEnvironment(memory, operandSize16);
        this.setControl(this.control | Exception.all);
        return operandSize16 ? clocks.storeEnvironment16 : clocks.storeEnvironment32;
      }
      case 7:
        memory.write16(0, this.control);
        return clocks.storeControlWord;
      default:
        return undefinedOpcode;
    }
  }

  private memoryForm3(register: number, memory: FloatingPointMemory): number {
    switch (register) {
      case 0:
        this.setIntegerOperand(memory.read32(0) | 0);
        this.loadOperand();
        return clocks.loadInteger;
      case 2:
      case 3:
        this.storeInteger(memory, 32, register === 3);
        return clocks.storeInteger;
      case 5: {
        const low = memory.read32(0);
        const high = memory.read32(4);
        const top = memory.read16(8);
        this.settle();
        operand.low = low | 0;
        operand.high = high | 0;
        operand.sign = top >>> 15;
        operand.exponent = top & 0x7fff;
        operations.push(this, operand);
        return clocks.loadExtended;
      }
      case 7:
        operations.storeExtended(this, memory);
        return clocks.storeExtended;
      default:
        return undefinedOpcode;
    }
  }

  private memoryForm5(register: number, memory: FloatingPointMemory, host: FloatingPointHost): number {
    switch (register) {
      case 0:
        this.readDouble(memory);
        this.loadOperand();
        return clocks.loadReal;
      case 2:
      case 3:
        this.storeDouble(memory, register === 3);
        return clocks.storeReal;
      case 4:
        this.loadAll(memory, host.operandSize16);
        return clocks.restore;
      case 6: {
        const { operandSize16 } = host;
        memory.probeWrite(80 + (operandSize16 ? environmentSize.bits16 : environmentSize.bits32));
        this.storeAll(memory, operandSize16);
        this.reset();
        return clocks.save;
      }
      case 7:
        memory.write16(0, this.statusWord);
        return clocks.storeStatusWord;
      default:
        return undefinedOpcode;
    }
  }

  private memoryForm7(register: number, memory: FloatingPointMemory): number {
    switch (register) {
      case 0:
        this.setIntegerOperand((memory.read16(0) << 16) >> 16);
        this.loadOperand();
        return clocks.loadInteger;
      case 2:
      case 3:
        this.storeInteger(memory, 16, register === 3);
        return clocks.storeInteger;
      case 4:
        this.settle();
        operations.pushDecimal(this, memory);
        return clocks.loadDecimal;
      case 5:
        this.loadInteger64(memory);
        return clocks.loadInteger;
      case 6:
        this.settle();
        operations.storeDecimal(this, memory);
        return clocks.storeDecimal;
      case 7:
        this.storeInteger(memory, 64, true);
        return clocks.storeInteger;
      default:
        return undefinedOpcode;
    }
  }

  private registerForm(group: number, modrm: number, host: FloatingPointHost): number {
    const { registers } = this;
    const i = modrm & 7;
    const field = (modrm >>> 3) & 7;
    switch (group) {
      case 0:
        if (field === Operation.compare || field === Operation.comparePop)
          return this.compareRegisters(i, operations.Comparison.ordered, field === Operation.compare ? 0 : 1);
        return this.registerArithmetic(field, i, registers.top, false);
      case 1:
        return this.registerForm1(modrm, field, i);
      case 2:
        if (modrm !== 0xe9) return undefinedOpcode;
        return this.compareRegisters(1, operations.Comparison.unordered, 2);
      case 3:
        return this.registerForm3(modrm);
      case 4:
        if (field === Operation.compare || field === Operation.comparePop)
          return this.compareRegisters(i, operations.Comparison.ordered, field === Operation.compare ? 0 : 1);
        return this.registerArithmetic(field, i, (registers.top + i) & 7, false);
      case 5:
        switch (field) {
          case 0:
            this.clearC1();
            registers.setEmpty((registers.top + i) & 7);
            return clocks.free;
          case 1:
            return this.exchange(i);
          case 2:
          case 3:
            return this.storeRegister(i, field === 3);
          case 4:
          case 5:
            return this.compareRegisters(i, operations.Comparison.unordered, field === 4 ? 0 : 1);
          default:
            return undefinedOpcode;
        }
      case 6:
        if (field === Operation.compare) return this.compareRegisters(i, operations.Comparison.ordered, 1);
        if (field === Operation.comparePop)
          return modrm === 0xd9
            ? this.compareRegisters(1, operations.Comparison.ordered, 2)
            : undefinedOpcode;
        return this.registerArithmetic(field, i, (registers.top + i) & 7, true);
      default:
        switch (field) {
          case 0:
            this.clearC1();
            registers.setEmpty((registers.top + i) & 7);
            registers.pop();
            return clocks.free;
          case 1:
            return this.exchange(i);
          case 2:
          case 3:
            return this.storeRegister(i, true);
          default:
            if (modrm !== 0xe0) return undefinedOpcode;
            host.setAx(this.statusWord);
            return clocks.storeStatusWordToAx;
        }
    }
  }

  private registerForm1(modrm: number, field: number, i: number): number {
    const { registers } = this;
    switch (field) {
      case 0:
        return this.loadRegister(i);
      case 1:
        return this.exchange(i);
      case 2:
        return modrm === 0xd0 ? clocks.noOperation : undefinedOpcode;
      case 3:
        this.settle();
        operations.storeRegisterQuietly(this, i);
        return clocks.storeRegister;
    }
    switch (modrm) {
      case 0xe0:
        return this.changeSign(1);
      case 0xe1:
        return this.changeSign(0);
      case 0xf6:
      case 0xf7:
        registers.top = (registers.top + (modrm === 0xf6 ? -1 : 1)) & 7;
        this.clearC1();
        return clocks.stackPointer;
      case 0xfa:
        return this.squareRoot();
      case 0xfc:
        return this.roundToInteger();
    }
    this.settle();
    switch (modrm) {
      case 0xe4:
        operations.testAgainstZero(this);
        return clocks.test;
      case 0xe5:
        operations.examine(this);
        return clocks.examine;
      case 0xe8:
      case 0xe9:
      case 0xea:
      case 0xeb:
      case 0xec:
      case 0xed:
      case 0xee:
        operations.pushConstant(this, modrm - 0xe8);
        return modrm === 0xe8 || modrm === 0xee ? clocks.constantZeroOrOne : clocks.constant;
      case 0xf0:
        operations.unary(this, operations.Unary.exponential);
        return clocks.exponential;
      case 0xf1:
        operations.binary(this, operations.Binary.logarithm);
        return clocks.logarithm;
      case 0xf2:
        operations.partialTangent(this);
        return clocks.partialTangent;
      case 0xf3:
        operations.binary(this, operations.Binary.arctangent);
        return clocks.partialArctangent;
      case 0xf4:
        operations.extractParts(this);
        return clocks.extract;
      case 0xf5:
        operations.partialRemainder(this, true);
        return clocks.partialRemainderNearest;
      case 0xf8:
        operations.partialRemainder(this, false);
        return clocks.partialRemainder;
      case 0xf9:
        operations.binary(this, operations.Binary.logarithmPlusOne);
        return clocks.logarithmPlusOne;
      case 0xfb:
        operations.sineAndCosine(this);
        return clocks.sineCosine;
      case 0xfd:
        operations.scaleByPower(this);
        return clocks.scale;
      case 0xfe:
        operations.sineOrCosine(this, false);
        return clocks.sine;
      case 0xff:
        operations.sineOrCosine(this, true);
        return clocks.cosine;
      default:
        return undefinedOpcode;
    }
  }

  private registerForm3(modrm: number): number {
    switch (modrm) {
      case 0xe0:
      case 0xe1:
      case 0xe4:
        return clocks.noOperation;
      case 0xe2:
        this.settle();
        this.status &= ~(Exception.all | Status.stackFault | Status.errorSummary | Status.busy);
        return clocks.clearExceptions;
      case 0xe3:
        this.reset();
        return clocks.initialize;
      default:
        return undefinedOpcode;
    }
  }

  private arithmeticClocks(operation: number): number {
    if (operation >= Operation.divide) return clocks.divide[(this.control >>> 8) & 3];
    return operation === Operation.multiply ? clocks.multiply : clocks.add;
  }

  private integerClocks(operation: number): number {
    if (operation >= Operation.divide) return clocks.divideInteger[(this.control >>> 8) & 3];
    if (operation === Operation.compare || operation === Operation.comparePop) return clocks.compareInteger;
    return operation === Operation.multiply ? clocks.integerMultiply : clocks.integerAdd;
  }

  /**
   * a `operation` b in doubles, or NaN when the reference must do it: the result is not a normal double nor an exact zero.
   */
  private inDoubles(operation: number, a: number, b: number): number {
    let result: number;
    switch (operation) {
      case Operation.add:
        result = a + b;
        break;
      case Operation.multiply:
        result = a * b;
        break;
      case Operation.subtract:
        result = a - b;
        break;
      case Operation.subtractReversed:
        result = b - a;
        break;
      case Operation.divide:
        result = a / b;
        break;
      default:
        result = b / a;
    }
    const size = Math.abs(result);
    if (size > smallestNormal && size < Number.POSITIVE_INFINITY) {
      this.defer(operation, a, b, result);
      return result;
    }
    if (size === 0) {
      const sum = operation !== Operation.multiply && operation < Operation.divide;
      const zeroOperand = operation === Operation.divideReversed ? b === 0 : a === 0;
      if (sum || zeroOperand || (operation === Operation.multiply && b === 0)) {
        this.clearC1();
        return result;
      }
    }
    return Number.NaN;
  }

  private registerArithmetic(operation: number, i: number, destination: number, pop: boolean): number {
    const { registers, usable } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (this.doublesAllowed && registers.form[t] === usable && registers.form[r] === usable) {
      const result = this.inDoubles(operation, registers.number[t], registers.number[r]);
      if (!Number.isNaN(result)) {
        registers.number[destination] = result;
        if (pop) registers.pop();
        return this.arithmeticClocks(operation);
      }
    }
    this.settle();
    operations.arithmeticRegisters(this, operation, i, destination, pop);
    return this.arithmeticClocks(operation);
  }

  /** ST(0) with the operand that `readSingle`, `readDouble` or `setIntegerOperand` left. */
  private operandArithmetic(operation: number, integer: boolean): number {
    const { registers, usable } = this;
    const t = registers.top;
    const fast = this.plain && registers.form[t] === usable;
    if (operation === Operation.compare || operation === Operation.comparePop) {
      if (fast) {
        this.compareDoubles(registers.number[t], floats[0]);
        if (operation === Operation.comparePop) registers.pop();
      } else {
        this.settle();
        this.spreadOperand();
        operations.compareOperand(this, operand, this.denormal, operation === Operation.comparePop);
      }
      return integer ? clocks.compareInteger : clocks.compare;
    }
    const spent = integer ? this.integerClocks(operation) : this.arithmeticClocks(operation);
    if (fast && this.doublesAllowed) {
      const result = this.inDoubles(operation, registers.number[t], floats[0]);
      if (!Number.isNaN(result)) {
        registers.number[t] = result;
        return spent;
      }
    }
    this.settle();
    this.spreadOperand();
    operations.arithmeticMemory(this, operation, operand, this.denormal);
    return spent;
  }

  private compareDoubles(a: number, b: number): void {
    this.setConditions(a > b ? 0 : a < b ? Status.c0 : Status.c3);
  }

  private compareRegisters(i: number, comparison: number, pops: 0 | 1 | 2): number {
    const { registers, usable } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (registers.form[t] === usable && registers.form[r] === usable) {
      this.compareDoubles(registers.number[t], registers.number[r]);
      if (pops > 0) registers.pop();
      if (pops > 1) registers.pop();
      return clocks.compare;
    }
    this.settle();
    operations.compareRegisters(this, i, comparison, pops);
    return clocks.compare;
  }

  /** A single in memory: exactly a double, if it is neither special nor denormal; otherwise in `operand`. */
  private readSingle(memory: FloatingPointMemory): void {
    const word = memory.read32(0);
    const exponent = (word >>> 23) & 0xff;
    if ((exponent !== 0 && exponent !== 0xff) || word << 1 === 0) {
      singleWords[0] = word;
      floats[0] = singles[0];
      this.plain = true;
      this.denormal = false;
      return;
    }
    this.plain = false;
    this.denormal = fromSingle(operand, word | 0);
  }

  private readDouble(memory: FloatingPointMemory): void {
    const low = memory.read32(0) | 0;
    const high = memory.read32(4) | 0;
    const exponent = (high >>> 20) & 0x7ff;
    if ((exponent !== 0 && exponent !== 0x7ff) || ((high << 1) | low) === 0) {
      words[0] = low;
      words[1] = high;
      this.plain = true;
      this.denormal = false;
      return;
    }
    this.plain = false;
    this.denormal = fromDouble(operand, high, low);
  }

  private setIntegerOperand(value: number): void {
    floats[0] = value;
    this.plain = true;
    this.denormal = false;
  }

  /** Makes `operand` hold what `floats[0]` holds. */
  private spreadOperand(): void {
    if (this.plain) fromDouble(operand, words[1], words[0]);
  }

  private loadOperand(): void {
    const { registers } = this;
    const next = (registers.top - 1) & 7;
    if (this.plain && registers.isEmpty(next)) {
      this.clearC1();
      registers.top = next;
      registers.number[next] = floats[0];
      registers.form[next] = Form.double;
      return;
    }
    this.settle();
    this.spreadOperand();
    operations.pushConverted(this, operand, this.denormal);
  }

  private loadInteger64(memory: FloatingPointMemory): void {
    const low = memory.read32(0) >>> 0;
    const high = memory.read32(4) | 0;
    if (high >= -0x200000 && high < 0x200000) {
      this.setIntegerOperand(high * 0x100000000 + low);
      this.loadOperand();
      return;
    }
    this.settle();
    fromInteger(operand, high, low | 0);
    operations.push(this, operand);
  }

  private loadRegister(i: number): number {
    const { registers } = this;
    const r = (registers.top + i) & 7;
    const next = (registers.top - 1) & 7;
    if (registers.form[r] === Form.double && registers.isEmpty(next)) {
      this.clearC1();
      registers.top = next;
      registers.number[next] = registers.number[r];
      registers.form[next] = Form.double;
      return clocks.loadReal;
    }
    this.settle();
    operations.pushRegister(this, i);
    return clocks.loadReal;
  }

  private storeRegister(i: number, pop: boolean): number {
    this.settle();
    operations.storeRegister(this, i, pop);
    return clocks.storeRegister;
  }

  private exchange(i: number): number {
    const { registers } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (registers.form[t] === Form.double && registers.form[r] === Form.double) {
      const number = registers.number[t];
      registers.number[t] = registers.number[r];
      registers.number[r] = number;
      this.clearC1();
      return clocks.exchange;
    }
    this.settle();
    operations.exchange(this, i);
    return clocks.exchange;
  }

  /** FCHS (1) or FABS (0). */
  private changeSign(keepBit: 0 | 1): number {
    const { registers } = this;
    const t = registers.top;
    if (registers.form[t] === Form.double) {
      const number = registers.number[t];
      registers.number[t] = keepBit !== 0 ? -number : Math.abs(number);
      this.clearC1();
    } else {
      this.settle();
      operations.changeSign(this, keepBit);
    }
    return keepBit !== 0 ? clocks.changeSign : clocks.absolute;
  }

  private squareRoot(): number {
    const { registers, usable } = this;
    const t = registers.top;
    const number = registers.number[t];
    if (this.doublesAllowed && registers.form[t] === usable && number > 0) {
      const root = Math.sqrt(number);
      registers.number[t] = root;
      this.defer(squareRootOperation, number, number, root);
      return clocks.squareRoot;
    }
    this.settle();
    operations.unary(this, operations.Unary.squareRoot);
    return clocks.squareRoot;
  }

  private roundToInteger(): number {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const rounded = roundDouble(number, (this.control >>> 10) & 3);
      registers.number[t] = rounded;
      this.clearC1();
      this.rounded(directionOf(number - rounded, number));
      return clocks.roundToInteger;
    }
    this.settle();
    operations.unary(this, operations.Unary.roundToInteger);
    return clocks.roundToInteger;
  }

  private storeSingle(memory: FloatingPointMemory, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const single = Math.fround(number);
      const size = Math.abs(single);
      if (
        number === 0 ||
        (size > smallestNormalSingle &&
          size <= largestSingle &&
          (single === number || (this.control & 0xc00) === 0))
      ) {
        singles[0] = single;
        memory.write32(0, singleWords[0] >>> 0);
        this.clearC1();
        this.rounded(directionOf(number - single, number));
        if (pop) registers.pop();
        return;
      }
    }
    this.settle();
    operations.storeSingle(this, memory, pop);
  }

  private storeDouble(memory: FloatingPointMemory, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      memory.probeWrite(8);
      floats[0] = registers.number[t];
      const high = words[1];
      memory.write32(0, words[0] >>> 0);
      memory.write32(4, high >>> 0);
      this.clearC1();
      if (pop) registers.pop();
      return;
    }
    this.settle();
    operations.storeDouble(this, memory, pop);
  }

  private storeInteger(memory: FloatingPointMemory, bits: 16 | 32 | 64, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const rounded = roundDouble(number, (this.control >>> 10) & 3);
      const limit = bits === 64 ? 0x20000000000000 : bits === 32 ? 0x80000000 : 0x8000;
      if (rounded >= -limit && rounded < limit) {
        if (bits === 16) memory.write16(0, rounded & 0xffff);
        else if (bits === 32) memory.write32(0, rounded >>> 0);
        else {
          memory.probeWrite(8);
          memory.write32(0, rounded >>> 0);
          memory.write32(4, Math.floor(rounded / 0x100000000) >>> 0);
        }
        this.clearC1();
        this.rounded(directionOf(number - rounded, number));
        if (pop) registers.pop();
        return;
      }
    }
    this.settle();
    operations.storeInteger(this, memory, bits, pop);
  }
}

/** FNOP, FINCSTP, FDECSTP, FFREE, FENI to FSETPM and FNSTSW AX leave the instruction pointer alone. */
function isControlRegisterForm(group: number, modrm: number): boolean {
  switch (group) {
    case 1:
      return modrm === 0xd0 || modrm === 0xf6 || modrm === 0xf7;
    case 3:
      return true;
    case 5:
      return modrm < 0xc8;
    case 7:
      return modrm < 0xc8 || modrm === 0xe0;
    default:
      return false;
  }
}

export function createFloatingPointUnit(path: Path = Path.fast): FloatingPointUnit {
  return new Pentium87(path);
}
