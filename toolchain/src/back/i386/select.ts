/**
 * Chooses i386 instructions for a legalised routine. Blocks and their instructions are walked from the end: an
 * instruction is emitted only when somebody below asked for its value in a register, so that what was folded into its
 * user (an address, a load, a comparison) costs nothing. Code of one IR instruction is a short list in forward
 * order; the lists of a block are joined in reverse.
 *
 * Rules: a load moves down to its only user only inside its block and over no write to memory; constants are never
 * kept in registers across instructions (they are immediates, or made where a register is due). This file has the walk, the
 * operands, control flow and calls; `select-conditions.ts`, `select-integer.ts` and `select-float.ts` the rest. Over 500
 * lines because all of them share its state.
 */
import type { Condition } from "@rialto/machine/i386/instruction.ts";
import type { BuildError } from "../../contract.ts";
import {
  type Block,
  type Instruction,
  isComparison,
  type Routine,
  successors,
  terminatorOperands,
  writesMemory,
} from "../ir/instructions.ts";
import {
  type AddressOperand,
  callerSaved,
  EAX,
  EDX,
  firstVirtual,
  type Immediate,
  immediate,
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  type MachineOperand,
  type MemoryReference,
  type RegisterOperand,
  register,
  type Slot,
  slotMemory,
} from "./code.ts";
import type { ConstantPool } from "./constants.ts";
import { type Intrinsic, intrinsics } from "./intrinsics.ts";
import { sequence } from "./parallel-copy.ts";
import { ConditionSelector } from "./select-conditions.ts";
import { FloatSelector, isFloat } from "./select-float.ts";
import { IntegerSelector } from "./select-integer.ts";

export interface EmitOptions {
  readonly condition?: Condition;
  readonly reads?: number;
  readonly writes?: number;
}

/** What an image's functions share. */
export interface ImageContext {
  readonly constants: ConstantPool;
  /** Routines of the back end that some function calls ("$divideSigned64"). */
  readonly routines: Set<string>;
  fail(message: string, wasmOffset: number, symbol: string): BuildError;
}

export function selectInstructions(routine: Routine, image: ImageContext): MachineFunction {
  return new Selector(routine, image).select();
}

export class Selector {
  readonly image: ImageContext;
  readonly routine: Routine;
  readonly out: MachineFunction;
  readonly floats: FloatSelector;
  private readonly conditions: ConditionSelector;
  private readonly integers: IntegerSelector;
  private readonly useCounts = new Map<Instruction, number>();
  private readonly addressUses = new Map<Instruction, number>();
  /** Writes to memory before an instruction in its block. */
  private readonly epochs = new Map<Instruction, number>();
  private readonly registers = new Map<Instruction, number>();
  private readonly highRegisters = new Map<Instruction, number>();
  private readonly argumentSlots = new Map<number, Slot>();
  /** Arguments read where they stand: nothing else may be kept there. */
  readonly argumentsInPlace = new Set<Slot>();
  private readonly blocks = new Map<Block, MachineBlock>();
  private block: Block;
  private epoch = 0;
  private code: MachineInstruction[] = [];
  private position = -1;

  constructor(routine: Routine, image: ImageContext) {
    this.routine = routine;
    this.image = image;
    this.block = routine.blocks[0];
    this.out = {
      name: routine.name,
      blocks: [],
      registerCount: firstVirtual,
      slots: [],
      needsFrame: false,
      argumentHomes: new Map(),
      variables: new Map(),
    };
    this.floats = new FloatSelector(this);
    this.conditions = new ConditionSelector(this);
    this.integers = new IntegerSelector(this);
  }

  select(): MachineFunction {
    const { routine } = this;
    this.countUses();
    for (const block of routine.blocks) {
      this.blocks.set(block, { id: block.id, instructions: [], successors: [], loopDepth: block.loopDepth });
    }
    for (const block of routine.blocks) {
      this.blocks.get(block)!.successors = successors(block).map((b) => this.blocks.get(b)!);
    }
    for (const block of routine.blocks.slice().reverse()) this.selectBlock(block);
    this.out.blocks = routine.blocks.map((block) => this.blocks.get(block)!);
    return this.out;
  }

  private countUses(): void {
    const count = (map: Map<Instruction, number>, i: Instruction) => map.set(i, (map.get(i) ?? 0) + 1);
    for (const block of this.routine.blocks) {
      let epoch = 0;
      for (const i of [...block.phis, ...block.instructions]) {
        this.epochs.set(i, epoch);
        if (writesMemory(i)) epoch++;
        for (const operand of i.operands) count(this.useCounts, operand);
        if (
          (i.operation === "load" && i.operands.length > 0) ||
          (i.operation === "store" && i.operands.length > 1)
        ) {
          count(this.addressUses, i.operands[0]);
        }
      }
      for (const i of terminatorOperands(block.terminator)) count(this.useCounts, i);
    }
  }

  private selectBlock(block: Block): void {
    this.block = block;
    const segments: MachineInstruction[][] = [];
    let writes = 0;
    for (const i of block.instructions) if (writesMemory(i)) writes++;
    this.epoch = writes;
    this.code = [];
    this.position = block.terminatorPosition;
    this.terminator(block);
    segments.push(this.code);
    for (let n = block.instructions.length - 1; n >= 0; n--) {
      const i = block.instructions[n];
      this.epoch = this.epochs.get(i)!;
      this.position = i.position;
      this.code = [];
      this.instruction(i);
      if (this.code.length > 0) segments.push(this.code);
    }
    this.blocks.get(block)!.instructions = segments.reverse().flat();
  }

  // Building blocks for this file, select-float.ts and intrinsics.ts.

  emit(op: string, operands: MachineOperand[] = [], options: EmitOptions = {}): void {
    this.code.push({
      op,
      operands,
      condition: options.condition,
      reads: options.reads ?? 0,
      writes: options.writes ?? 0,
      position: this.position,
    });
  }

  newRegister(): number {
    return this.out.registerCount++;
  }

  temporary(size: 1 | 2 | 4 = 4): RegisterOperand {
    return register(this.newRegister(), size);
  }

  newSlot(size: 4 | 8, argument?: number, pinned = false): Slot {
    const slot: Slot = { id: this.out.slots.length, size, argument, pinned, merged: undefined, offset: 0 };
    this.out.slots.push(slot);
    return slot;
  }

  argumentSlot(word: number, size: 4 | 8): Slot {
    let slot = this.argumentSlots.get(word);
    if (!slot) {
      slot = this.newSlot(size, word);
      this.argumentSlots.set(word, slot);
    }
    return slot;
  }

  fail(message: string, symbol = this.routine.name): never {
    throw this.image.fail(message, this.position, symbol);
  }

  uses(i: Instruction): number {
    return this.useCounts.get(i) ?? 0;
  }

  /** Whether a value is made for this user alone, here, and nobody has asked for it in a register. */
  isFoldable(i: Instruction): boolean {
    return i.block === this.block && this.uses(i) === 1 && !this.registers.has(i) && i.operation !== "phi";
  }

  isFoldableLoad(i: Instruction): boolean {
    return i.operation === "load" && this.isFoldable(i) && this.epochs.get(i) === this.epoch;
  }

  registerOf(i: Instruction): number {
    let id = this.registers.get(i);
    if (id === undefined) {
      id = this.newRegister();
      this.registers.set(i, id);
    }
    return id;
  }

  /** The register in which an instruction now being emitted must leave its value. */
  destination(i: Instruction): RegisterOperand {
    return register(this.registerOf(i));
  }

  highDestination(i: Instruction): RegisterOperand {
    let id = this.highRegisters.get(i);
    if (id === undefined) {
      id = this.newRegister();
      this.highRegisters.set(i, id);
    }
    return register(id);
  }

  isWanted(i: Instruction): boolean {
    return this.registers.has(i) || this.highRegisters.has(i);
  }

  hasRegister(i: Instruction): boolean {
    return this.registers.has(i);
  }

  wantsHigh(i: Instruction): boolean {
    return this.highRegisters.has(i);
  }

  /** A value as an immediate or a register. */
  use(i: Instruction): RegisterOperand | Immediate | AddressOperand {
    if (i.operation === "constant") return immediate(i.constant as number);
    if (i.operation === "address") return { kind: "address", symbol: i.symbol!, addend: i.offset };
    return register(this.registerOf(i));
  }

  /** A value as an immediate, a register or memory. */
  useAny(i: Instruction): MachineOperand {
    return this.foldedMemory(i) ?? this.use(i);
  }

  /** A value in a register; constants are made here. */
  useRegister(i: Instruction): RegisterOperand {
    const operand = this.use(i);
    if (operand.kind === "register") return operand;
    const t = this.temporary();
    this.emit("mov", [t, operand]);
    return t;
  }

  /** A value in a register or memory. */
  useRegisterOrMemory(i: Instruction): RegisterOperand | MemoryReference {
    return this.foldedMemory(i) ?? this.useRegister(i);
  }

  /** The place of a value that can be used from memory here: a folded load, an argument. */
  foldedMemory(i: Instruction): MemoryReference | undefined {
    if (i.operation === "load" && i.width === 4 && this.isFoldableLoad(i)) return this.memoryOf(i, 4);
    if (this.isArgumentInPlace(i)) {
      const slot = this.argumentSlot(i.offset, 4);
      this.argumentsInPlace.add(slot);
      return slotMemory(slot, 4);
    }
    return undefined;
  }

  /** An argument used once and not in a loop is used where the caller put it. */
  private isArgumentInPlace(i: Instruction): boolean {
    return (
      i.operation === "parameter" &&
      i.type === "i32" &&
      this.uses(i) === 1 &&
      this.block.loopDepth === 0 &&
      !this.registers.has(i)
    );
  }

  /** The memory operand of a load or store. */
  memoryOf(i: Instruction, size: MemoryReference["size"]): MemoryReference {
    const hasBase = i.operands.length > (i.operation === "store" ? 1 : 0);
    return this.address(hasBase ? i.operands[0] : undefined, i.symbol, i.offset, size);
  }

  address(
    base: Instruction | undefined,
    symbol: string | undefined,
    displacement: number,
    size: MemoryReference["size"],
  ): MemoryReference {
    const memory = (b: number, index: number, scale: 1 | 2 | 4 | 8, more = 0): MemoryReference => ({
      kind: "memory",
      base: b,
      index,
      scale,
      displacement: (displacement + more) | 0,
      symbol,
      slot: undefined,
      size,
    });
    if (base === undefined) return memory(-1, -1, 1);
    if (base.operation === "constant") return memory(-1, -1, 1, base.constant as number);
    if (base.operation === "address") {
      if (symbol === undefined) return { ...memory(-1, -1, 1, base.offset), symbol: base.symbol };
      return memory(this.useRegister(base).id, -1, 1);
    }
    if (base.operation === "add" && this.isFoldableAddress(base)) {
      const [x, y] = base.operands;
      if (y.operation === "address" || y.operation === "constant")
        return memory(this.useRegister(base).id, -1, 1);
      for (const [index, other] of [
        [y, x],
        [x, y],
      ]) {
        const scaled = this.scaled(index);
        if (scaled)
          return memory(this.useRegister(other).id, this.useRegister(scaled.value).id, scaled.scale);
      }
      return memory(this.useRegister(x).id, this.useRegister(y).id, 1);
    }
    const scaled = this.scaled(base);
    if (scaled) return memory(-1, this.useRegister(scaled.value).id, scaled.scale);
    return memory(this.useRegister(base).id, -1, 1);
  }

  private isFoldableAddress(i: Instruction): boolean {
    if (i.block !== this.block || this.registers.has(i)) return false;
    return this.uses(i) === 1 || (this.addressUses.get(i) ?? 0) === this.uses(i);
  }

  /** A multiple by 2, 4 or 8 that an address can make itself. */
  scaled(i: Instruction): { value: Instruction; scale: 2 | 4 | 8 } | undefined {
    if (i.operation !== "shl" || i.block !== this.block || this.registers.has(i)) return undefined;
    const [value, count] = i.operands;
    if (count.operation !== "constant" || value.operation === "constant") return undefined;
    const n = (count.constant as number) & 31;
    return n >= 1 && n <= 3 ? { value, scale: (1 << n) as 2 | 4 | 8 } : undefined;
  }

  /** Calls a routine of the back end itself, which takes and leaves what its comment in `routines.ts` says. */
  callRoutine(name: string, reads: number, writes: number): void {
    this.image.routines.add(name);
    this.out.needsFrame = true;
    this.emit("call", [{ kind: "address", symbol: name, addend: 0 }], { reads, writes });
  }

  /** Emits what sets the flags and says under which condition `i` is not zero. */
  condition(i: Instruction): Condition {
    return this.conditions.condition(i);
  }

  // Terminators.

  private terminator(block: Block): void {
    const t = block.terminator;
    switch (t.kind) {
      case "jump":
        this.phiCopies(block, t.target);
        this.emit("jmp", [this.target(t.target)]);
        return;
      case "branch": {
        const condition = this.condition(t.condition);
        this.emit("jcc", [this.target(t.taken)], { condition });
        this.emit("jmp", [this.target(t.otherwise)]);
        return;
      }
      case "switch":
        this.switch(t.index, t.targets, t.fallback);
        return;
      case "return":
        this.return(t.values);
        return;
      default:
        this.emit("ud2");
    }
  }

  private target(block: Block): MachineOperand {
    return { kind: "block", block: this.blocks.get(block)! };
  }

  private switch(index: Instruction, targets: readonly Block[], fallback: Block): void {
    const r = this.useRegister(index);
    if (targets.length <= 4) {
      for (const [n, target] of targets.entries()) {
        if (target === fallback) continue;
        if (n === 0) this.emit("test", [r, r]);
        else this.emit("cmp", [r, immediate(n)]);
        this.emit("jcc", [this.target(target)], { condition: "e" });
      }
      this.emit("jmp", [this.target(fallback)]);
      return;
    }
    this.emit("cmp", [r, immediate(targets.length)]);
    this.emit("jcc", [this.target(fallback)], { condition: "ae" });
    this.emit("jumpTable", [r, ...targets.map((b) => this.target(b))]);
  }

  private return(values: readonly Instruction[]): void {
    let reads = 0;
    if (values.length > 0) {
      if (isFloat(values[0].type)) this.floats.push(values[0]);
      else {
        this.emit("mov", [register(EAX), this.useAny(values[0])]);
        reads = 1 << EAX;
        if (values.length > 1) {
          this.emit("mov", [register(EDX), this.useAny(values[1])]);
          reads |= 1 << EDX;
        }
      }
    }
    this.emit("return", [], { reads });
  }

  private phiCopies(block: Block, target: Block): void {
    const edge = target.predecessors.indexOf(block);
    const integers = target.phis.filter((phi) => !isFloat(phi.type));
    const copies = integers.map((phi) => ({
      to: this.registerOf(phi),
      from: this.use(phi.operands[edge]),
    }));
    const key = (from: MachineOperand) => (from.kind === "register" ? from.id : undefined);
    sequence(
      copies,
      key,
      () => this.newRegister(),
      register,
      (to, from) => this.emit("mov", [register(to), from]),
    );
    this.floats.phiCopies(
      target.phis.filter((phi) => isFloat(phi.type)),
      edge,
    );
  }

  // Instructions.

  private instruction(i: Instruction): void {
    if (isFloat(i.type) && this.floats.instruction(i)) return;
    switch (i.operation) {
      case "constant":
      case "address":
        return;
      case "high": {
        const id = this.registers.get(i);
        if (id === undefined) return;
        const producer = i.operands[0];
        const existing = this.highRegisters.get(producer);
        if (existing === undefined) this.highRegisters.set(producer, id);
        else this.emit("mov", [register(id), register(existing)]);
        return;
      }
      case "home":
        this.home(i);
        return;
      case "store":
        this.integers.store(i);
        return;
      case "call":
      case "callIndirect":
      case "callImport":
        this.call(i);
        return;
      case "intrinsic":
        this.intrinsic(i);
        return;
      case "memoryCopy":
        this.threeWordRoutine("$memoryCopy", i);
        return;
      case "memoryFill":
        this.threeWordRoutine("$memoryFill", i);
        return;
      case "divS":
      case "divU":
      case "remS":
      case "remU":
        this.integers.divide(i);
        return;
      case "truncateS":
      case "truncateU":
      case "truncateWideS":
      case "truncateWideU":
        this.floats.toInteger(i);
        return;
      default:
    }
    if (!this.isWanted(i)) return;
    if (isComparison(i.operation)) {
      const d = this.destination(i);
      const at = this.code.length;
      const condition = this.condition(i);
      // The register is cleared before the flags are made: SET writes one byte only.
      const rest = this.code.splice(at);
      this.emit("zero", [d]);
      this.code.push(...rest);
      this.emit("set", [register(d.id, 1)], { condition });
      return;
    }
    this.integers.value(i);
  }

  /** Moves EAX and EDX to where the values are wanted. */
  takeResults(i: Instruction): void {
    const low = this.registers.get(i);
    const high = this.highRegisters.get(i);
    if (low !== undefined) this.emit("mov", [register(low), register(EAX)]);
    if (high !== undefined) this.emit("mov", [register(high), register(EDX)]);
  }

  private home(i: Instruction): void {
    const [value] = i.operands;
    const size = i.wide || value.type === "f64" ? 8 : 4;
    let slot = this.out.variables.get(i.offset);
    // The high word of an i64 comes first in this walk from the end.
    if (!slot) {
      slot = this.newSlot(size, undefined, true);
      this.out.variables.set(i.offset, slot);
    }
    if (isFloat(value.type)) this.floats.storeAt(slotMemory(slot, size), value);
    else this.emit("mov", [slotMemory(slot, 4, i.wide ? 4 : 0), this.use(value)]);
  }

  // Calls.

  /** Pushes values as argument words, the last first; returns how many bytes. */
  pushArguments(values: readonly Instruction[]): number {
    let bytes = 0;
    for (let n = values.length - 1; n >= 0; n--) {
      const value = values[n];
      if (isFloat(value.type)) bytes += this.floats.pushArgument(value);
      else {
        this.emit("push", [this.useAny(value)]);
        bytes += 4;
      }
    }
    return bytes;
  }

  private call(i: Instruction): void {
    this.out.needsFrame = true;
    const indirect = i.operation === "callIndirect";
    const bytes = this.pushArguments(indirect ? i.operands.slice(1) : i.operands);
    let target: MachineOperand;
    if (indirect) target = this.useAny(i.operands[0]);
    else if (i.operation === "callImport") target = this.address(undefined, i.symbol, 0, 4);
    else target = { kind: "address", symbol: i.symbol!, addend: 0 };
    if (target.kind === "immediate") {
      const t = this.temporary();
      this.emit("mov", [t, target]);
      target = t;
    }
    if (i.operation === "call" && i.symbol!.startsWith("$")) this.image.routines.add(i.symbol!);
    this.emit("call", [target], { writes: callerSaved });
    if (bytes > 0) this.emit("dropArguments", [immediate(bytes)]);
    if (isFloat(i.type)) this.floats.takeResult(i);
    else this.takeResults(i);
  }

  private threeWordRoutine(name: string, i: Instruction): void {
    const bytes = this.pushArguments(i.operands);
    this.callRoutine(name, 0, callerSaved);
    this.emit("dropArguments", [immediate(bytes)]);
  }

  private intrinsic(i: Instruction): void {
    const intrinsic: Intrinsic | undefined = intrinsics[i.symbol!];
    if (!intrinsic) this.fail(`"${i.symbol}" is no intrinsic of the i386 back end`, i.symbol);
    if (i.operands.length !== intrinsic.operands || (i.type !== "void") !== intrinsic.hasResult) {
      this.fail(`intrinsic "${i.symbol}" is declared with another signature`, i.symbol);
    }
    intrinsic.emit(this, i);
  }
}
