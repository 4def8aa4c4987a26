/**
 * The Pentium's floating-point unit: decodes D8 to DF. The work is done by `double-path.ts` in the common cases, and by `operations.ts`
 * and `transfers.ts` in all others. Source: Intel, Pentium Processor Family Developer's Manual, volume 3, chapters 6, 7 and 25,
 * and appendix A for the opcode maps.
 *
 * Undocumented aliases that the processor decodes (DC D0, DC D8, DD C8, DE D0, DF C0, DF C8, DF D0, DF D8) do what the instruction
 * that they duplicate does. FENI, FDISI and FSETPM do nothing.
 */

import { Operation } from "./arithmetic.ts";
import { clocks } from "./clocks.ts";
import type { FloatingPointHost, FloatingPointMemory, FloatingPointUnit } from "./contract.ts";
import { DoublePath, Path } from "./double-path.ts";
import { environmentSize } from "./environment.ts";
import { Exception, Status } from "./extended.ts";
import * as operations from "./operations.ts";
import * as transfers from "./transfers.ts";

const undefinedOpcode = -1;

class Pentium87 extends DoublePath implements FloatingPointUnit {
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
      case 5:
        this.settle();
        transfers.pushExtended(this, memory);
        return clocks.loadExtended;
      case 7:
        transfers.storeExtended(this, memory);
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
        transfers.pushDecimal(this, memory);
        return clocks.loadDecimal;
      case 5:
        this.loadInteger64(memory);
        return clocks.loadInteger;
      case 6:
        this.settle();
        transfers.storeDecimal(this, memory);
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
        transfers.storeRegisterQuietly(this, i);
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
        transfers.pushConstant(this, modrm - 0xe8);
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
