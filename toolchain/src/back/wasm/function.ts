/**
 * One wasm function to SSA. Structured control flow gives the graph; local variables and block results become values
 * and phis on the fly (Braun et al., "Simple and Efficient Construction of Static Single Assignment Form", 2013): a
 * block is sealed when all its predecessors are known, which for a loop header is at the loop's end.
 *
 * Code that cannot be reached is skipped, not translated. Operand types are checked on the way, so that no malformed
 * function gets past this file; over 300 lines because it is one state machine over all opcodes.
 */
import { BuildError, type SourcePosition } from "../../contract.ts";
import { Builder, newBlock, newRoutine } from "../ir/build.ts";
import { finishGraph } from "../ir/flow.ts";
import type { Block, Instruction, Routine, Type, ValueType } from "../ir/instructions.ts";
import type { Callee, Naming, Target } from "./link-names.ts";
import { type FunctionType, valueType, type WasmFunction } from "./module.ts";
import { memoryOpcodes, numericByCode } from "./opcodes.ts";
import { ByteReader } from "./reader.ts";

interface Frame {
  readonly kind: "function" | "block" | "loop" | "if";
  readonly end: Block;
  /** Where `br` to this frame goes: the header of a loop, else `end`. */
  readonly label: Block;
  readonly result: Type;
  /** Variable that carries the result to `end`. */
  readonly variable: number;
  readonly height: number;
  /** Block of the missing or coming else. */
  otherwise: Block | undefined;
}

/** Size of wasm's stack of locals and open blocks that one function may have before we call it malformed. */
const nestingLimit = 2000;

/** `homes`: tell where local variables change (debug builds). */
export function translateFunction(f: WasmFunction, naming: Naming, homes = false): Routine {
  return new Translator(f, naming, homes).translate();
}

class Translator {
  private readonly f: WasmFunction;
  private readonly naming: Naming;
  private readonly homes: boolean;
  private readonly reader: ByteReader;
  private readonly routine: Routine;
  private readonly b: Builder;
  private readonly variables: ValueType[];
  private readonly definitions = new Map<Block, Map<number, Instruction>>();
  private readonly incomplete = new Map<Block, Map<number, Instruction>>();
  private readonly stack: Instruction[] = [];
  private readonly frames: Frame[] = [];
  private readonly zeros = new Map<ValueType, Instruction>();
  private readonly entry: Block;
  private reachable = true;
  private offset: number;

  constructor(f: WasmFunction, naming: Naming, homes: boolean) {
    this.f = f;
    this.homes = homes;
    this.naming = naming;
    this.reader = new ByteReader(naming.module.bytes, naming.module.fileName, f.bodyStart, f.bodyEnd);
    this.routine = newRoutine(f.name, f.type.parameters, f.type.results[0] ?? "void");
    this.entry = newBlock(this.routine);
    this.b = new Builder(this.routine, this.entry);
    this.variables = [...f.type.parameters, ...f.locals];
    this.offset = f.bodyStart;
  }

  translate(): Routine {
    this.definitions.set(this.entry, new Map());
    this.b.position = this.f.bodyStart;
    for (const [n, type] of this.f.type.parameters.entries()) {
      this.assign(n, this.b.make("parameter", type, [], { offset: n }));
    }
    const end = newBlock(this.routine);
    this.pushFrame("function", end, end, this.routine.result);
    while (this.frames.length > 0) {
      this.offset = this.reader.offset;
      this.b.position = this.offset;
      if (!this.reachable) this.skip();
      else this.instruction(this.reader.byte());
    }
    if (this.reader.offset !== this.reader.end) this.fail("code after the end of the function");
    finishGraph(this.routine, this.entry);
    return this.routine;
  }

  private sourcePosition(): SourcePosition | undefined {
    return this.naming.front.sourceAt(this.offset);
  }

  private fail(message: string): never {
    throw new BuildError(`${message} (in function ${this.f.name}, wasm byte ${this.offset})`, {
      file: this.naming.module.fileName,
      position: this.sourcePosition(),
      symbol: this.f.name,
    });
  }

  // Values of variables.

  private write(variable: number, value: Instruction, block: Block = this.b.block): void {
    let map = this.definitions.get(block);
    if (!map) {
      map = new Map();
      this.definitions.set(block, map);
    }
    map.set(variable, value);
  }

  /** A new value of one of the function's own variables. */
  private assign(local: number, value: Instruction): void {
    this.write(local, value);
    if (this.homes && this.f.localNames.has(local)) this.b.make("home", "void", [value], { offset: local });
  }

  private read(variable: number, from: Block = this.b.block): Instruction {
    const passed: Block[] = [];
    let block = from;
    let value: Instruction;
    for (;;) {
      const known = this.definitions.get(block)?.get(variable);
      if (known) {
        value = known;
        break;
      }
      const waiting = this.incomplete.get(block);
      if (waiting) {
        value = this.b.phi(this.variables[variable], block);
        waiting.set(variable, value);
        break;
      }
      if (block.predecessors.length === 1) {
        passed.push(block);
        block = block.predecessors[0];
        continue;
      }
      if (block.predecessors.length === 0) {
        value = this.zero(this.variables[variable]);
        break;
      }
      value = this.b.phi(this.variables[variable], block);
      this.write(variable, value, block);
      value.operands = block.predecessors.map((p) => this.read(variable, p));
      break;
    }
    this.write(variable, value, block);
    for (const b of passed) this.write(variable, value, b);
    return value;
  }

  /** The initial value of locals, made once at the start of the function. */
  private zero(type: ValueType): Instruction {
    let value = this.zeros.get(type);
    if (!value) {
      value = this.b.create("constant", type, []);
      value.constant = type === "i64" ? 0n : 0;
      value.block = this.entry;
      this.entry.instructions.unshift(value);
      this.zeros.set(type, value);
    }
    return value;
  }

  private seal(block: Block): void {
    const waiting = this.incomplete.get(block);
    this.incomplete.delete(block);
    for (const [variable, phi] of waiting ?? []) {
      phi.operands = block.predecessors.map((p) => this.read(variable, p));
    }
  }

  // The operand stack.

  private push(value: Instruction): void {
    this.stack.push(value);
  }

  private pop(type?: ValueType): Instruction {
    const frame = this.frames[this.frames.length - 1];
    if (this.stack.length <= frame.height) this.fail("the operand stack is empty");
    const value = this.stack.pop()!;
    if (type !== undefined && value.type !== type)
      this.fail(`operand of type ${value.type} where ${type} is due`);
    return value;
  }

  private popMany(types: readonly ValueType[]): Instruction[] {
    const values: Instruction[] = new Array(types.length);
    for (let n = types.length - 1; n >= 0; n--) values[n] = this.pop(types[n]);
    return values;
  }

  // Control flow.

  private pushFrame(kind: Frame["kind"], end: Block, label: Block, result: Type, otherwise?: Block): void {
    if (this.frames.length > nestingLimit) this.fail("blocks are nested too deeply");
    let variable = -1;
    if (result !== "void") {
      variable = this.variables.length;
      this.variables.push(result);
    }
    this.frames.push({ kind, end, label, result, variable, height: this.stack.length, otherwise });
  }

  private jump(target: Block): void {
    const block = this.b.block;
    block.terminator = { kind: "jump", target };
    block.terminatorPosition = this.offset;
    target.predecessors.push(block);
  }

  private branch(condition: Instruction, then: Block, otherwise: Block): void {
    const block = this.b.block;
    block.terminator = { kind: "branch", condition, taken: then, otherwise };
    block.terminatorPosition = this.offset;
    then.predecessors.push(block);
    otherwise.predecessors.push(block);
  }

  private frameAt(depth: number): Frame {
    const frame = this.frames[this.frames.length - 1 - depth];
    if (!frame) this.fail(`branch to depth ${depth}, which does not exist`);
    return frame;
  }

  /** Stores the value that a branch carries; it stays on the stack. */
  private carry(frame: Frame): void {
    if (frame.kind === "loop" || frame.result === "void") return;
    const value = this.pop(frame.result);
    this.push(value);
    this.write(frame.variable, value);
  }

  private endReachable(): void {
    this.reachable = false;
    this.stack.length = this.frames[this.frames.length - 1].height;
  }

  private returnValues(): void {
    const values = this.routine.result === "void" ? [] : [this.pop(this.routine.result)];
    this.b.block.terminator = { kind: "return", values };
    this.b.block.terminatorPosition = this.offset;
  }

  private blockType(): Type {
    const code = this.reader.byte();
    if (code === 0x40) return "void";
    if ((code & 0xc0) === 0x40) return valueType(code, this.reader);
    this.reader.offset--;
    const type: FunctionType | undefined = this.naming.module.types[this.reader.signed32()];
    if (!type) this.fail("a block has an unknown type");
    if (type.parameters.length > 0 || type.results.length > 1) this.fail("blocks with several values");
    return type.results[0] ?? "void";
  }

  private else(): void {
    const frame = this.frames[this.frames.length - 1];
    if (frame.kind !== "if" || !frame.otherwise) this.fail("else without if");
    if (this.reachable) this.leave(frame);
    this.stack.length = frame.height;
    this.b.block = frame.otherwise;
    frame.otherwise = undefined;
    this.reachable = true;
  }

  /** Falls through to the end of the frame. */
  private leave(frame: Frame): void {
    if (frame.result !== "void") this.write(frame.variable, this.pop(frame.result));
    if (this.stack.length !== frame.height) this.fail("values are left on the operand stack");
    this.jump(frame.end);
  }

  private end(): void {
    const frame = this.frames[this.frames.length - 1];
    if (frame.kind === "function") {
      if (this.reachable && frame.end.predecessors.length === 0) {
        this.returnValues();
        if (this.stack.length !== frame.height) this.fail("values are left on the operand stack");
      } else {
        if (this.reachable) this.leave(frame);
        if (frame.end.predecessors.length > 0) {
          this.b.block = frame.end;
          this.stack.length = 0;
          if (frame.result !== "void") this.push(this.read(frame.variable));
          this.returnValues();
        }
      }
      this.frames.pop();
      return;
    }
    if (this.reachable) this.leave(frame);
    if (frame.otherwise) {
      if (frame.result !== "void") this.fail("if without else has a result");
      this.b.block = frame.otherwise;
      this.jump(frame.end);
    }
    if (frame.kind === "loop") this.seal(frame.label);
    this.stack.length = frame.height;
    this.frames.pop();
    this.reachable = frame.end.predecessors.length > 0;
    if (!this.reachable) return;
    this.b.block = frame.end;
    if (frame.result !== "void") this.push(this.read(frame.variable));
  }

  /** Passes over code that cannot be reached, up to the else or end that can. */
  private skip(): void {
    for (let depth = 0; ; ) {
      this.offset = this.reader.offset;
      const opcode = this.reader.byte();
      if (opcode === 0x02 || opcode === 0x03 || opcode === 0x04) {
        this.blockType();
        depth++;
      } else if (opcode === 0x0b) {
        if (depth === 0) {
          this.end();
          return;
        }
        depth--;
      } else if (opcode === 0x05) {
        if (depth === 0) {
          this.else();
          return;
        }
      } else this.skipImmediates(opcode);
    }
  }

  private skipImmediates(opcode: number): void {
    const r = this.reader;
    if (opcode === 0x0c || opcode === 0x0d || opcode === 0x10 || (opcode >= 0x20 && opcode <= 0x26))
      r.unsigned();
    else if (opcode === 0x0e) for (let n = r.unsigned() + 1; n > 0; n--) r.unsigned();
    else if (opcode === 0x11 || (opcode >= 0x28 && opcode <= 0x3e)) {
      r.unsigned();
      r.unsigned();
    } else if (opcode === 0x3f || opcode === 0x40) r.byte();
    else if (opcode === 0x1c) for (let n = r.unsigned(); n > 0; n--) r.byte();
    else if (opcode === 0x41) r.signed32();
    else if (opcode === 0x42) r.signed64();
    else if (opcode === 0x43) r.take(4);
    else if (opcode === 0x44) r.take(8);
    else if (opcode === 0xfc) {
      const sub = r.unsigned();
      if (sub === 10) r.take(2);
      else if (sub === 11) r.take(1);
      else if (sub > 11) this.fail(`unsupported opcode 0xfc ${sub}`);
    } else if (opcode >= 0x06 && opcode < 0x45 && ![0x0f, 0x1a, 0x1b].includes(opcode)) {
      this.fail(`unsupported opcode 0x${opcode.toString(16)}`);
    } else if (opcode > 0xc4) this.fail(`unsupported opcode 0x${opcode.toString(16)}`);
  }

  // Instructions.

  private instruction(opcode: number): void {
    const { reader, b } = this;
    const numeric = numericByCode.get(opcode);
    if (numeric) {
      this.numeric(opcode);
      return;
    }
    const access = memoryOpcodes.get(opcode);
    if (access) {
      this.access(opcode);
      return;
    }
    switch (opcode) {
      case 0x00:
        b.block.terminator = { kind: "unreachable" };
        b.block.terminatorPosition = this.offset;
        this.endReachable();
        return;
      case 0x01:
        return;
      case 0x02:
      case 0x03:
      case 0x04:
        this.open(opcode);
        return;
      case 0x05:
        this.else();
        return;
      case 0x0b:
        this.end();
        return;
      case 0x0c: {
        const frame = this.frameAt(reader.unsigned());
        this.carry(frame);
        this.jump(frame.label);
        this.endReachable();
        return;
      }
      case 0x0d: {
        const frame = this.frameAt(reader.unsigned());
        const condition = this.pop("i32");
        this.carry(frame);
        const next = newBlock(this.routine);
        this.branch(condition, frame.label, next);
        b.block = next;
        return;
      }
      case 0x0e:
        this.branchTable();
        return;
      case 0x0f:
        this.returnValues();
        this.endReachable();
        return;
      case 0x10:
        this.call(this.naming.callee(reader.unsigned(), this.sourcePosition()));
        return;
      case 0x11: {
        const type = this.naming.module.types[reader.unsigned()];
        if (!type) this.fail("call_indirect of an unknown type");
        reader.unsigned();
        const target = this.pop("i32");
        const operands = this.popMany(type.parameters);
        this.finishCall(b.make("callIndirect", type.results[0] ?? "void", [target, ...operands]));
        return;
      }
      case 0x1a:
        this.pop();
        return;
      case 0x1b:
      case 0x1c: {
        if (opcode === 0x1c) {
          if (reader.unsigned() !== 1) this.fail("select has one type");
          reader.byte();
        }
        const condition = this.pop("i32");
        const otherwise = this.pop();
        const then = this.pop(otherwise.type as ValueType);
        this.push(b.make("select", then.type, [condition, then, otherwise]));
        return;
      }
      case 0x20:
        this.push(this.read(this.local()));
        return;
      case 0x21: {
        const local = this.local();
        this.routine.assignedParameters.add(local);
        this.assign(local, this.pop(this.variables[local]));
        return;
      }
      case 0x22: {
        const local = this.local();
        const value = this.pop(this.variables[local]);
        this.routine.assignedParameters.add(local);
        this.assign(local, value);
        this.push(value);
        return;
      }
      case 0x23:
        this.getGlobal();
        return;
      case 0x24: {
        const global = this.naming.global(reader.unsigned(), this.sourcePosition());
        if (!global.mutable) this.fail(`global ${global.name} is constant`);
        const value = this.pop(global.type);
        b.make("store", "void", [value], { symbol: `global:${global.name}`, width: sizeOf(global.type) });
        return;
      }
      case 0x3f:
      case 0x40:
        this.fail("memory.size and memory.grow have no meaning here: memory is the whole address space");
        return;
      case 0x41: {
        const value = reader.signed32();
        const relocation = this.naming.relocated(this.offset, value, this.sourcePosition());
        this.push(relocation ? this.address(relocation.target, relocation.sign) : b.i32(value));
        return;
      }
      case 0x42:
        this.push(b.i64(reader.signed64()));
        return;
      case 0x43:
        this.push(b.constant("f32", reader.float32()));
        return;
      case 0x44:
        this.push(b.constant("f64", reader.float64()));
        return;
      case 0xfc:
        this.prefixed(reader.unsigned());
        return;
      default:
        this.fail(`unsupported opcode 0x${opcode.toString(16)}`);
    }
  }

  private prefixed(sub: number): void {
    const { reader, b } = this;
    if (numericByCode.has(0xfc00 + sub)) {
      this.numeric(0xfc00 + sub);
      return;
    }
    if (sub === 10 || sub === 11) {
      reader.take(sub === 10 ? 2 : 1);
      const operands = this.popMany(["i32", "i32", "i32"]);
      b.make(sub === 10 ? "memoryCopy" : "memoryFill", "void", operands);
      return;
    }
    this.fail(`unsupported opcode 0xfc ${sub}`);
  }

  private local(): number {
    const index = this.reader.unsigned();
    if (index >= this.f.type.parameters.length + this.f.locals.length) this.fail(`no local ${index}`);
    return index;
  }

  private open(opcode: number): void {
    const { b } = this;
    const result = this.blockType();
    const end = newBlock(this.routine);
    if (opcode === 0x02) {
      this.pushFrame("block", end, end, result);
      return;
    }
    if (opcode === 0x03) {
      const header = newBlock(this.routine);
      this.incomplete.set(header, new Map());
      this.jump(header);
      b.block = header;
      this.pushFrame("loop", end, header, result);
      return;
    }
    const value = this.pop("i32");
    const then = newBlock(this.routine);
    const otherwise = newBlock(this.routine);
    this.branch(value, then, otherwise);
    b.block = then;
    this.pushFrame("if", end, end, result, otherwise);
  }

  private branchTable(): void {
    const { reader } = this;
    const count = reader.unsigned();
    if (count > reader.end - reader.offset) this.fail("branch table runs past its function");
    const frames: Frame[] = [];
    for (let n = 0; n <= count; n++) frames.push(this.frameAt(reader.unsigned()));
    const index = this.pop("i32");
    for (const frame of new Set(frames)) this.carry(frame);
    const block = this.b.block;
    const targets = frames.map((frame) => frame.label);
    const fallback = targets.pop()!;
    const distinct = new Set([...targets, fallback]);
    if (distinct.size === 1) this.jump(fallback);
    else {
      block.terminator = { kind: "switch", index, targets, fallback };
      block.terminatorPosition = this.offset;
      for (const target of distinct) target.predecessors.push(block);
    }
    this.endReachable();
  }

  private numeric(code: number): void {
    const { operation, operands, result } = numericByCode.get(code)!;
    const values = this.popMany(operands);
    if (operation === "eqz") {
      const zero = operands[0] === "i64" ? this.b.i64(0n) : this.b.i32(0);
      this.push(this.b.make("eq", "i32", [values[0], zero]));
    } else this.push(this.b.make(operation, result, values));
  }

  private access(code: number): void {
    const { b, reader } = this;
    const { type, store, width, signed } = memoryOpcodes.get(code)!;
    reader.unsigned();
    let offset = reader.unsigned() | 0;
    let symbol: string | undefined;
    const relocation = this.naming.relocated(this.offset, offset, this.sourcePosition());
    if (relocation) {
      if (relocation.target.throughSlot || relocation.sign < 0)
        this.fail("an offset cannot be this relocation");
      ({ symbol, addend: offset } = relocation.target);
    }
    const value = store ? [this.pop(type)] : [];
    const address = this.pop("i32");
    const i = b.make(store ? "store" : "load", store ? "void" : type, [address, ...value], {
      symbol,
      offset,
      width,
      signed,
    });
    if (!store) this.push(i);
  }

  private address(target: Target, sign: 1 | -1): Instruction {
    const { b } = this;
    const value = target.throughSlot
      ? b.make("load", "i32", [], { symbol: target.symbol })
      : b.make("address", "i32", [], { symbol: target.symbol, offset: target.addend });
    return sign === 1 ? value : b.make("sub", "i32", [b.i32(0), value]);
  }

  private getGlobal(): void {
    const { b } = this;
    const global = this.naming.global(this.reader.unsigned(), this.sourcePosition());
    if (global.mutable) {
      const symbol = `global:${global.name}`;
      this.push(b.make("load", global.type, [], { symbol, width: sizeOf(global.type) }));
      return;
    }
    const relocation =
      global.type === "i32"
        ? this.naming.relocated(global.position, global.initial as number, this.sourcePosition())
        : undefined;
    this.push(
      relocation ? this.address(relocation.target, relocation.sign) : b.constant(global.type, global.initial),
    );
  }

  private call(callee: Callee): void {
    const operands = this.popMany(callee.type.parameters);
    if (callee.kind === "direct") {
      this.callSymbol("call", callee.symbol, callee.type, operands);
      return;
    }
    if (callee.kind === "slot") {
      this.callSymbol("callImport", callee.symbol, callee.type, operands);
      return;
    }
    this.callSymbol("intrinsic", callee.name, callee.type, operands);
    return;
  }

  private callSymbol(
    operation: "call" | "callImport" | "intrinsic",
    symbol: string,
    type: FunctionType,
    operands: Instruction[],
  ): void {
    this.finishCall(this.b.make(operation, type.results[0] ?? "void", operands, { symbol }));
  }

  private finishCall(call: Instruction): void {
    if (call.type !== "void") this.push(call);
  }
}

function sizeOf(type: ValueType): 4 | 8 {
  return type === "i64" || type === "f64" ? 8 : 4;
}
