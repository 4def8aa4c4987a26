/**
 * Allocated code to machine code: frames, branches, pseudo-instructions, the line table.
 *
 *   [ebp + 8 + 4 n]  argument word n
 *   [ebp + 4]        return address
 *   [ebp]            caller's EBP
 *   [ebp - 4 …]      saved EBX, ESI, EDI, those that are used
 *   …                slots, then what stackAlloc took, then arguments on their way
 *
 * A function has a frame unless it calls nobody, has no slots and uses no register that must be saved; then EBP is
 * untouched and ESP points at the return address throughout, so that a debugger can unwind either kind. Frames of
 * more than a page touch every page in order, because stacks grow by faults.
 *
 * Over 500 lines: all instructions of a function go into one buffer, by one frame.
 */
import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import type { Mnemonic } from "@rialto/machine/i386/assembler-forms.ts";
import {
  type Address,
  cr0,
  cr2,
  cr3,
  cr4,
  cs,
  dword,
  eax,
  ebp,
  esp,
  type Label,
  type MemoryOperand,
  type Operand,
  type Register,
  registers8,
  registers16,
  registers32,
  stackRegisters,
  symbol,
  tbyte,
} from "@rialto/machine/i386/assembly.ts";
import type { Condition } from "@rialto/machine/i386/instruction.ts";
import type { SourcePosition } from "../../contract.ts";
import {
  calleeSaved,
  ESP,
  finalSlot,
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  type MachineOperand,
  type MemoryReference,
  rolesOf,
  type Slot,
} from "./code.ts";
import { type ConstantPool, constantsSymbol } from "./constants.ts";
import {
  expandCount,
  expandRemainderSigned,
  expandShiftWide,
  expandStackAllocate,
  pageSize,
} from "./expansions.ts";
import { liveFlags } from "./peephole.ts";

export interface EmittedFunction {
  readonly framed: boolean;
  readonly start: Label;
  readonly end: Label;
  readonly lines: ReadonlyArray<{ readonly label: Label; readonly position: SourcePosition }>;
  /** Argument words whose place no longer holds the argument throughout. */
  readonly reusedArguments: ReadonlySet<number>;
}

const named: Readonly<Record<string, Register>> = {
  al: registers8[0],
  ah: registers8[4],
  ax: registers16[0],
  dx: registers16[2],
  eax,
  cs,
  cr0,
  cr2,
  cr3,
  cr4,
};

export const inverseCondition: Readonly<Record<Condition, Condition>> = {
  ...{ o: "no", no: "o", b: "ae", ae: "b", e: "ne", ne: "e", be: "a", a: "be" },
  ...{ s: "ns", ns: "s", p: "np", np: "p", l: "ge", ge: "l", le: "g", g: "le" },
} as Record<Condition, Condition>;

/** Frames up to here end in a page that the next call or the page before touches. */
const untouchedLimit = 4000;

const scaleDown = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x03]; // 2^-15360
const scaleUp = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7b]; // 2^15360

export function emitFunction(
  a: Assembler,
  f: MachineFunction,
  constants: ConstantPool,
  sourceAt: (wasmOffset: number) => SourcePosition | undefined,
): EmittedFunction {
  return new Emitter(a, f, constants, sourceAt).emit();
}

class Emitter {
  private readonly a: Assembler;
  private readonly f: MachineFunction;
  private readonly constants: ConstantPool;
  private readonly sourceAt: (wasmOffset: number) => SourcePosition | undefined;
  private readonly labels = new Map<MachineBlock, Label>();
  private readonly lines: Array<{ label: Label; position: SourcePosition }> = [];
  private readonly cold: Array<() => void> = [];
  private readonly tables: Array<{ label: Label; targets: Label[] }> = [];
  private readonly reusedArguments = new Set<number>();
  private saved: number[] = [];
  private framed = true;
  private frameSize = 0;
  private lastPosition: SourcePosition | undefined;
  private lastOffset = -1;
  private flagsLive = false;
  /** ESP is not where the prologue left it: stackAlloc, or arguments of the last call still on the stack. */
  private stackMoves = false;
  private argumentsLeft = false;

  constructor(
    a: Assembler,
    f: MachineFunction,
    constants: ConstantPool,
    sourceAt: (wasmOffset: number) => SourcePosition | undefined,
  ) {
    this.a = a;
    this.f = f;
    this.constants = constants;
    this.sourceAt = sourceAt;
  }

  emit(): EmittedFunction {
    const { a, f } = this;
    this.layOutFrame();
    a.align(16);
    const start = a.mark();
    a.label(f.name);
    const first = f.blocks.flatMap((b) => b.instructions).find((i) => i.position >= 0);
    if (first) this.line(first.position);
    this.prologue();
    for (const block of f.blocks) this.labels.set(block, a.newLabel());
    f.blocks.forEach((block, n) => {
      a.place(this.labels.get(block)!);
      this.block(block, f.blocks[n + 1]);
    });
    for (const write of this.cold) write();
    for (const table of this.tables) {
      a.align(4);
      a.place(table.label);
      for (const target of table.targets) a.dword(target);
    }
    return {
      framed: this.framed,
      start,
      end: a.mark(),
      lines: this.lines,
      reusedArguments: this.reusedArguments,
    };
  }

  private layOutFrame(): void {
    const used = new Set<number>();
    const slots = new Set<Slot>();
    for (const block of this.f.blocks) {
      for (const i of block.instructions) {
        const letters = rolesOf(i.op);
        i.operands.forEach((operand, n) => {
          if (operand.kind === "register" && (letters[n] ?? "u") !== "u") used.add(operand.id);
          if (operand.kind === "register" && operand.id === ESP && n === 0) this.stackMoves = true;
          if (operand.kind !== "memory" || !operand.slot) return;
          const slot = finalSlot(operand.slot);
          slots.add(slot);
          const written = (letters[n] ?? "u") !== "u" || i.op === "fstp" || i.op.startsWith("fixTiny");
          if (slot.argument !== undefined && written) {
            for (let word = 0; word < slot.size / 4; word++) this.reusedArguments.add(slot.argument + word);
          }
        });
        if (i.op === "stackAllocate") this.stackMoves = true;
        for (let r = 0; r < 8; r++) if (i.writes & (1 << r)) used.add(r);
      }
    }
    this.saved = calleeSaved.filter((r) => used.has(r));
    const own = [...slots].filter((slot) => slot.argument === undefined);
    this.framed = this.f.needsFrame || own.length > 0 || this.saved.length > 0;
    for (const slot of slots) {
      if (slot.argument !== undefined) slot.offset = (this.framed ? 8 : 4) + 4 * slot.argument;
    }
    let offset = -4 * this.saved.length;
    // The larger first, so that the words need no padding.
    for (const size of [8, 4]) {
      for (const slot of own) {
        if (slot.size !== size) continue;
        offset -= size;
        slot.offset = offset;
      }
    }
    this.frameSize = -4 * this.saved.length - offset;
  }

  private prologue(): void {
    const { a } = this;
    if (!this.framed) return;
    a.emit("push", ebp);
    a.emit("mov", ebp, esp);
    for (const r of this.saved) a.emit("push", registers32[r]);
    let rest = this.frameSize;
    if (rest > untouchedLimit) {
      const pages = Math.floor(rest / pageSize);
      if (pages <= 4) {
        for (let n = 0; n < pages; n++) {
          a.emit("sub", esp, pageSize);
          a.emit("test", dword({ base: esp }), eax);
        }
      } else {
        // EAX holds nothing at the entry.
        a.emit("mov", eax, pages);
        const again = a.mark();
        a.emit("sub", esp, pageSize);
        a.emit("test", dword({ base: esp }), eax);
        a.emit("dec", eax);
        a.emit("jne", again);
      }
      rest -= pages * pageSize;
    }
    if (rest > 0) a.emit("sub", esp, rest);
  }

  private epilogue(): void {
    const { a } = this;
    if (this.framed) {
      if (this.saved.length > 0) {
        if (this.stackMoves || this.frameSize > 0 || this.argumentsLeft)
          a.emit("lea", esp, { kind: "memory", size: 0, base: ebp, displacement: -4 * this.saved.length });
        for (const r of this.saved.slice().reverse()) a.emit("pop", registers32[r]);
        a.emit("pop", ebp);
      } else a.emit("leave");
    }
    a.emit("ret");
  }

  private line(wasmOffset: number): void {
    if (wasmOffset < 0 || wasmOffset === this.lastOffset) return;
    this.lastOffset = wasmOffset;
    const position = this.sourceAt(wasmOffset);
    if (!position) return;
    const last = this.lastPosition;
    if (last && last.line === position.line && last.file === position.file) return;
    this.lastPosition = position;
    this.lines.push({ label: this.a.mark(), position });
  }

  private block(block: MachineBlock, next: MachineBlock | undefined): void {
    const list = block.instructions;
    const live = liveFlags(list);
    for (let n = 0; n < list.length; n++) {
      const i = list[n];
      this.flagsLive = live[n];
      this.line(i.position);
      if (i.op === "jcc" || i.op === "jmp") {
        const after = list[n + 1];
        const target = this.targetOf(i);
        if (i.op === "jmp") {
          if (target !== next) this.a.emit("jmp", this.labels.get(target)!);
        } else if (after?.op === "jmp" && target === next) {
          const other = this.targetOf(after);
          if (other !== next) this.a.emit(`j${inverseCondition[i.condition!]}`, this.labels.get(other)!);
          n++;
        } else this.a.emit(`j${i.condition!}`, this.labels.get(target)!);
        continue;
      }
      if (i.op === "dropArguments" && this.returnsNext(list, n + 1)) {
        this.argumentsLeft = true;
        continue;
      }
      this.instruction(i);
    }
    this.argumentsLeft = false;
  }

  /** Whether nothing but moves stands before the return, which restores ESP by itself. */
  private returnsNext(list: readonly MachineInstruction[], from: number): boolean {
    for (let n = from; n < list.length; n++) {
      if (list[n].op === "return") return true;
      if (list[n].op !== "mov" && list[n].op !== "fstp" && list[n].op !== "fld") return false;
    }
    return false;
  }

  private targetOf(i: MachineInstruction): MachineBlock {
    const [target] = i.operands;
    if (target.kind !== "block") throw new Error(`${i.op} without a block`);
    return target.block;
  }

  // Operands.

  private reg(id: number, size: 1 | 2 | 4 = 4): Register {
    if (size === 1) {
      if (id > 3) throw new Error(`register ${id} has no byte name`);
      return registers8[id];
    }
    return size === 2 ? registers16[id] : registers32[id];
  }

  private memory(m: MemoryReference): MemoryOperand {
    const address: { -readonly [K in keyof Address]: Address[K] } = {};
    let displacement = m.displacement;
    if (m.slot) {
      const slot = finalSlot(m.slot);
      address.base = this.framed ? ebp : esp;
      displacement += slot.offset;
    } else if (m.base >= 0) address.base = registers32[m.base];
    if (m.index >= 0) {
      address.index = registers32[m.index];
      address.scale = m.scale;
    }
    if (m.symbol !== undefined) address.displacement = symbol(m.symbol, displacement);
    else if (displacement !== 0 || (m.base < 0 && !m.slot)) address.displacement = displacement;
    return { kind: "memory", size: m.size, ...address };
  }

  private operand(o: MachineOperand): Operand {
    switch (o.kind) {
      case "register":
        return this.reg(o.id, o.size);
      case "memory":
        return this.memory(o);
      case "immediate":
        return o.value;
      case "address":
        return symbol(o.symbol, o.addend);
      case "block":
        return this.labels.get(o.block)!;
      case "st":
        return stackRegisters[o.number];
      case "named":
        return named[o.name];
    }
  }

  // Instructions.

  private instruction(i: MachineInstruction): void {
    const { a } = this;
    const operands = i.operands.map((o) => this.operand(o));
    const [x, y] = operands;
    switch (i.op) {
      case "mov":
        if (y === 0 && isRegister32(x) && !this.flagsLive) a.emit("xor", x, x);
        else a.emit("mov", x, y);
        return;
      case "movzx":
        this.moveByte(i, x, y);
        return;
      case "zero":
        if (isRegister32(x) && !this.flagsLive) a.emit("xor", x, x);
        else a.emit("mov", x, 0);
        return;
      case "add":
      case "sub":
        // INC and DEC leave the carry alone, which ADC and SBB would miss.
        if ((y === 1 || y === -1) && !this.flagsLive)
          a.emit((y === 1) === (i.op === "add") ? "inc" : "dec", x);
        else a.emit(i.op, x, y);
        return;
      case "imulConstant":
        a.emit("imul", x, y, operands[2]);
        return;
      case "imulWide":
        a.emit("imul", x);
        return;
      case "movFrom":
      case "movTo":
        a.emit("mov", x, y);
        return;
      case "set":
        a.emit(`set${i.condition!}`, x);
        return;
      case "moveIf": {
        const skip = a.newLabel();
        a.emit(`j${inverseCondition[i.condition!]}`, skip);
        a.emit("mov", x, y);
        a.place(skip);
        return;
      }
      case "replaceIf": {
        const skip = a.newLabel();
        a.emit(`j${inverseCondition[i.condition!]}`, skip);
        a.emit("fstp", stackRegisters[0]);
        a.emit("fld", x);
        a.place(skip);
        return;
      }
      case "fstp0":
        a.emit("fstp", stackRegisters[0]);
        return;
      case "orderFlags":
        a.emit("fnstsw", registers16[0]);
        a.emit("sahf");
        return;
      case "equalFlags":
        a.emit("fnstsw", registers16[0]);
        a.emit("and", registers8[4], 0x45);
        a.emit("cmp", registers8[4], 0x40);
        return;
      case "fixTinyProduct":
      case "fixTinyQuotient":
        this.fixTiny(i, operands);
        return;
      case "jumpTable": {
        const label = a.newLabel();
        this.tables.push({ label, targets: operands.slice(1) as Label[] });
        a.emit("jmp", dword({ index: x as Register, scale: 4, displacement: label as never }));
        return;
      }
      case "dropArguments":
        a.emit("add", esp, x);
        return;
      case "return":
        this.epilogue();
        return;
      case "call":
        a.emit("call", x);
        return;
      case "remainderSigned":
        expandRemainderSigned(a, x);
        return;
      case "countLeading":
      case "countTrailing":
        expandCount(a, i.op, x, y);
        return;
      case "shlWide":
      case "shrSWide":
      case "shrUWide":
      case "rotlWide":
        expandShiftWide(a, i.op, x, y);
        return;
      case "lockCmpxchg":
        a.emitPrefixed("lock", "cmpxchg", x, y);
        return;
      case "lockAdd":
        a.emitPrefixed("lock", "add", x, y);
        return;
      case "lockXadd":
        a.emitPrefixed("lock", "xadd", x, y);
        return;
      case "touchStack":
        a.emit("test", dword({ base: esp }), eax);
        return;
      case "stackAllocate":
        expandStackAllocate(a, x, y);
        return;
      default:
        a.emit(i.op as Mnemonic, ...operands);
    }
  }

  /** On a Pentium, clearing a register and loading its low byte is faster than MOVZX. */
  private moveByte(i: MachineInstruction, x: Operand, y: Operand): void {
    const { a } = this;
    const [to, from] = i.operands;
    const fits = to.kind === "register" && to.id < 4 && from.kind === "memory" && from.size === 1;
    if (fits && !this.flagsLive && from.base !== to.id && from.index !== to.id) {
      a.emit("xor", x, x);
      a.emit("mov", registers8[to.id], y);
    } else a.emit("movzx", x, y);
  }

  /** A tiny or zero f64 product or quotient is computed again, out of line, with scaled operands (`select-float.ts`). */
  private fixTiny(i: MachineInstruction, operands: readonly Operand[]): void {
    const { a } = this;
    const [t, , first, second] = operands;
    const result = i.operands[1] as MemoryReference;
    const top = this.memory({ ...result, size: 4, displacement: result.displacement + 4 });
    const [again, done] = [a.newLabel(), a.newLabel()];
    a.emit("mov", t, top);
    a.emit("add", t, t);
    a.emit("cmp", t, 0x200000);
    a.emit("jbe", again);
    a.place(done);
    const pool = this.constants;
    const down = tbyte({ displacement: symbol(constantsSymbol, pool.place(new Uint8Array(scaleDown))) });
    const up = tbyte({ displacement: symbol(constantsSymbol, pool.place(new Uint8Array(scaleUp))) });
    this.cold.push(() => {
      a.place(again);
      a.emit("fld", down);
      a.emit("fmul", first);
      a.emit(i.op === "fixTinyProduct" ? "fmul" : "fdiv", second);
      a.emit("fld", up);
      a.emit("fmulp", stackRegisters[1], stackRegisters[0]);
      a.emit("fstp", this.memory(result));
      a.emit("jmp", done);
    });
  }
}

function isRegister32(o: Operand): o is Register {
  return typeof o === "object" && o.kind === "register" && o.class === "r32";
}
