/**
 * The typed i386 assembler; operands and results are in `assembly.ts`, encodings come from the instruction table
 * (`assembler-forms.ts`).
 *
 * Code is written once into one buffer. Branches whose length is not yet known and alignments are kept apart as gaps in
 * it; `finish` starts with every gap at its least length, lengthens branches that do not reach until none is left (they only ever
 * grow, so this ends), and copies the pieces together. Branches to symbols of this assembler need no fixup; all other
 * uses of symbols are fixups, with absolute addresses of labels expressed against the nearest symbol before them.
 *
 * Longer than most files here: encoding and relaxation share one private buffer, which a border between them would make public.
 */
import {
  type BranchForm,
  type Form,
  findBranch,
  findForms,
  type Mnemonic,
  operandKey,
  operandKind,
} from "./assembler-forms.ts";
import { defaultSegment, immediateFits, kindOf, refusal } from "./assembler-operands.ts";
import type {
  AssembledCode,
  AssemblyFixup,
  FarPointer,
  Label,
  MemoryOperand,
  Operand,
  Register,
  SymbolOperand,
} from "./assembly.ts";
import { AssemblyError, noFormError } from "./assembly-error.ts";

export type Prefix =
  | "lock"
  | "rep"
  | "repe"
  | "repz"
  | "repne"
  | "repnz"
  | "es"
  | "cs"
  | "ss"
  | "ds"
  | "fs"
  | "gs";

const prefixBytes: Readonly<Record<Prefix, number>> = {
  ...{ lock: 0xf0, rep: 0xf3, repe: 0xf3, repz: 0xf3, repne: 0xf2, repnz: 0xf2 },
  ...{ es: 0x26, cs: 0x2e, ss: 0x36, ds: 0x3e, fs: 0x64, gs: 0x65 },
};
const segmentPrefixes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** A position in the buffer, and how many gaps lie before it. */
interface Place {
  readonly position: number;
  readonly gaps: number;
}

interface Gap {
  readonly position: number;
  readonly branch: BranchForm | undefined;
  readonly target: Label | SymbolOperand | undefined;
  /** Alignment, when it is no branch. */
  readonly align: number;
  readonly fill: number;
  size: number;
  near: boolean;
}

/** A 4-byte field to be filled, or to become a fixup, when all lengths are known. */
interface Pending extends Place {
  readonly kind: "absolute32" | "relative32";
  readonly target: Label | SymbolOperand;
  readonly addend: number;
}

export class Assembler {
  private buffer = new Uint8Array(4096);
  private position = 0;
  private readonly gaps: Gap[] = [];
  private readonly pending: Pending[] = [];
  private readonly labelPlaces: (Place | undefined)[] = [];
  private readonly symbolPlaces = new Map<string, Place>();
  private prefixes: readonly Prefix[] = [];

  /** Defines a symbol of the image here. */
  label(name: string): void {
    if (this.symbolPlaces.has(name)) throw new AssemblyError("label", [], `"${name}" is defined twice`);
    this.symbolPlaces.set(name, { position: this.position, gaps: this.gaps.length });
  }

  newLabel(): Label {
    this.labelPlaces.push(undefined);
    return { kind: "label", id: this.labelPlaces.length - 1 };
  }

  place(label: Label): void {
    if (this.labelPlaces[label.id] !== undefined)
      throw new AssemblyError("place", [label], "it has a place already");
    this.labelPlaces[label.id] = { position: this.position, gaps: this.gaps.length };
  }

  /** A new label for this place; its offset in `finish`'s result is how line tables and function sizes are made. */
  mark(): Label {
    const label = this.newLabel();
    this.place(label);
    return label;
  }

  /** Offset of this place if all open branches stay short: final only when there are none; else use `mark`. */
  get offset(): number {
    let offset = this.position;
    for (const gap of this.gaps) offset += gap.size;
    return offset;
  }

  emit(mnemonic: Mnemonic, ...operands: Operand[]): void {
    this.encode(mnemonic, operands, false);
  }

  /** As `emit`, with branches in their 32-bit form whatever the distance. */
  emitNear(mnemonic: Mnemonic, ...operands: Operand[]): void {
    this.encode(mnemonic, operands, true);
  }

  /** As `emit`, with one or more prefixes. LOCK and repeats are refused where they mean nothing. */
  emitPrefixed(prefix: Prefix | readonly Prefix[], mnemonic: Mnemonic, ...operands: Operand[]): void {
    this.prefixes = typeof prefix === "string" ? [prefix] : prefix;
    try {
      this.encode(mnemonic, operands, false);
    } finally {
      this.prefixes = [];
    }
  }

  bytes(bytes: Uint8Array | readonly number[]): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  byte(value: number): void {
    this.datum("byte", value, 1);
  }

  word(value: number): void {
    this.datum("word", value, 2);
  }

  /** A number, or the absolute address of a symbol or label. */
  dword(value: number | SymbolOperand | Label): void {
    if (typeof value === "number") this.datum("dword", value, 4);
    else this.field32(value, "absolute32");
  }

  /** Fills with `fill` (NOP) up to a multiple of `boundary`, a power of two. */
  align(boundary: number, fill = 0x90): void {
    if (boundary < 1 || (boundary & (boundary - 1)) !== 0) {
      throw new AssemblyError("align", [boundary], "it takes a power of two");
    }
    this.addGap(undefined, undefined, boundary, fill);
  }

  finish(): AssembledCode {
    const shifts = this.settle();
    const offsetOf = (place: Place): number => place.position + shifts[place.gaps]!;
    const total = this.position + shifts[this.gaps.length]!;
    const text = new Uint8Array(total);
    const view = new DataView(text.buffer);
    const fixups: AssemblyFixup[] = [];
    const symbols = new Map<string, number>();
    for (const [name, place] of this.symbolPlaces) symbols.set(name, offsetOf(place));
    const anchors = [...symbols].sort((a, b) => a[1] - b[1]);
    const fill32 = (
      offset: number,
      kind: Pending["kind"],
      target: Label | SymbolOperand,
      addend: number,
    ): void => {
      const place = this.placeOf(target);
      if (target.kind === "label" && !place) {
        throw new AssemblyError("finish", [target], "this label is used and has no place");
      }
      if (kind === "relative32" && place) {
        const distance =
          offsetOf(place) + (target.kind === "symbol" ? target.addend : 0) + addend - (offset + 4);
        view.setInt32(offset, distance, true);
      } else if (target.kind === "symbol") {
        fixups.push({ offset, kind, symbol: target.symbol, addend: (target.addend + addend) | 0 });
      } else {
        const labelOffset = offsetOf(place!);
        const anchor = nearestBefore(anchors, labelOffset);
        if (!anchor)
          throw new AssemblyError(
            "dword",
            [target],
            "no symbol is defined before the label whose address is used",
          );
        fixups.push({ offset, kind, symbol: anchor[0], addend: labelOffset - anchor[1] + addend });
      }
    };
    let from = 0;
    this.gaps.forEach((gap, i) => {
      text.set(this.buffer.subarray(from, gap.position), from + shifts[i]!);
      from = gap.position;
      const start = gap.position + shifts[i]!;
      if (!gap.branch) {
        text.fill(gap.fill, start, start + gap.size);
        return;
      }
      const opcode = (gap.near ? gap.branch.near : gap.branch.short)!;
      text.set(opcode, start);
      if (gap.near) {
        fill32(start + opcode.length, "relative32", gap.target!, 0);
      } else {
        text[start + opcode.length] = this.distance(gap, start, offsetOf);
      }
    });
    text.set(this.buffer.subarray(from, this.position), from + shifts[this.gaps.length]!);
    for (const field of this.pending) fill32(offsetOf(field), field.kind, field.target, field.addend);
    fixups.sort((a, b) => a.offset - b.offset);
    const labels = this.labelPlaces.map((place) => (place ? offsetOf(place) : -1));
    return { text, fixups, symbols, labels };
  }

  /** Lengthens branches until all reach; returns for each gap the bytes that gaps before it add (and the sum of all). */
  private settle(): number[] {
    const shifts = new Array<number>(this.gaps.length + 1).fill(0);
    const offsetOf = (place: Place): number => place.position + shifts[place.gaps]!;
    for (const gap of this.gaps) {
      if (!gap.branch || !gap.target) continue;
      if (gap.target.kind === "label" && !this.placeOf(gap.target)) {
        throw new AssemblyError("finish", [gap.target], "a branch goes to this label, which has no place");
      }
      if (!this.placeOf(gap.target)) this.lengthen(gap);
    }
    for (;;) {
      let shift = 0;
      this.gaps.forEach((gap, i) => {
        shifts[i] = shift;
        if (!gap.branch) gap.size = -(gap.position + shift) & (gap.align - 1);
        shift += gap.size;
      });
      shifts[this.gaps.length] = shift;
      let changed = false;
      this.gaps.forEach((gap, i) => {
        if (!gap.branch || gap.near) return;
        const distance = this.distance(gap, gap.position + shifts[i]!, offsetOf);
        if (distance >= -128 && distance <= 127) return;
        this.lengthen(gap);
        changed = true;
      });
      if (!changed) return shifts;
    }
  }

  private distance(gap: Gap, start: number, offsetOf: (place: Place) => number): number {
    const target = gap.target!;
    return (
      offsetOf(this.placeOf(target)!) + (target.kind === "symbol" ? target.addend : 0) - (start + gap.size)
    );
  }

  private lengthen(gap: Gap): void {
    if (!gap.branch!.near) {
      const reason = this.placeOf(gap.target!)
        ? "the target is more than 127 bytes away and the instruction has no longer form"
        : "the instruction reaches only targets in the same assembler";
      throw new AssemblyError("branch", [gap.target!], reason);
    }
    gap.near = true;
    gap.size = gap.branch!.near.length + 4;
  }

  private placeOf(target: Label | SymbolOperand): Place | undefined {
    return target.kind === "label" ? this.labelPlaces[target.id] : this.symbolPlaces.get(target.symbol);
  }

  private addGap(
    branch: BranchForm | undefined,
    target: Label | SymbolOperand | undefined,
    align: number,
    fill: number,
  ): void {
    const near = branch !== undefined && branch.short === undefined;
    const opcode = branch ? (branch.short ?? branch.near!) : [];
    const size = branch ? opcode.length + (near ? 4 : 1) : 0;
    this.gaps.push({ position: this.position, branch, target, align, fill, size, near });
  }

  private encode(mnemonic: string, operands: readonly Operand[], near: boolean): void {
    const first = operands[0];
    const kind = kindOf(first);
    if (kind === operandKind.label || kind === operandKind.symbol) {
      const branch = findBranch(mnemonic);
      if (branch && operands.length === 1) {
        this.branch(mnemonic, branch, first as Label | SymbolOperand, near);
        return;
      }
    }
    const forms = findForms(mnemonic)?.get(operandKey(kind, kindOf(operands[1]), kindOf(operands[2])));
    if (!forms || operands.length > 3) throw noFormError(mnemonic, operands);
    let reason: string | undefined;
    for (let i = 0; i < forms.length; i++) {
      reason = refusal(forms[i]!, operands);
      if (reason === undefined) {
        this.write(forms[i]!, mnemonic, operands);
        return;
      }
    }
    throw new AssemblyError(mnemonic, operands, reason ?? "it cannot be encoded");
  }

  private branch(mnemonic: string, branch: BranchForm, target: Label | SymbolOperand, near: boolean): void {
    if (this.prefixes.length > 0) throw new AssemblyError(mnemonic, [target], "a branch takes no prefix");
    if (near && !branch.near)
      throw new AssemblyError(mnemonic, [target], "it has no form with a 32-bit distance");
    if (!near && branch.short) {
      this.addGap(branch, target, 1, 0);
      return;
    }
    this.bytes(branch.near!);
    this.field32(target, "relative32");
  }

  /** Writes a form whose operands have been accepted: prefixes, opcode, ModR/M, SIB, displacement, immediates. */
  private write(form: Form, mnemonic: string, operands: readonly Operand[]): void {
    this.reserve(24);
    const row = form.row;
    let rm: Operand | undefined;
    let reg = Math.max(row.digit, 0);
    let opcodeRegister = 0;
    let modrm = row.fixedModrm;
    let moffs: MemoryOperand | undefined;
    for (let i = 0; i < form.operands.length; i++) {
      const operand = operands[form.swapped ? 1 - i : i]!;
      switch (form.operands[i]!.role) {
        case "rm":
          rm = operand;
          break;
        case "reg":
          reg = (operand as Register).number;
          break;
        case "opcode":
          opcodeRegister = (operand as Register).number;
          break;
        case "st":
          modrm += (operand as Register).number;
          break;
        case "moffs":
          moffs = operand as MemoryOperand;
          break;
      }
    }
    const rmMemory = rm !== undefined && typeof rm !== "number" && rm.kind === "memory" ? rm : undefined;
    const memory = rmMemory ?? moffs;
    if (form.waits) this.put(0x9b);
    if (this.prefixes.length > 0) this.writePrefixes(form, mnemonic, operands, memory);
    if (memory?.segment && memory.segment.number !== defaultSegment(memory)) {
      this.put(segmentPrefixes[memory.segment.number]!);
    }
    const short = memory?.base?.class === "r16" || memory?.index?.class === "r16";
    if (short || form.addressSize16) this.put(0x67);
    if (form.operandSize16) this.put(0x66);
    if (row.twoByte) this.put(0x0f);
    this.put(row.opcode + opcodeRegister);
    if (modrm >= 0) this.put(modrm);
    else if (rmMemory && short) this.writeAddress16(mnemonic, operands, reg, rmMemory);
    else if (rmMemory) this.writeAddress(mnemonic, operands, reg, rmMemory);
    else if (row.modrm) this.put(0xc0 | (reg << 3) | (rm as Register).number);
    if (moffs) this.value32(moffs.displacement ?? 0);
    for (let i = 0; i < form.operands.length; i++) {
      const { role, size } = form.operands[i]!;
      if (role === "immediate" || role === "signed8") {
        const value = operands[i] as number | SymbolOperand | Label;
        if (size === 4) this.value32(value);
        else this.little(value as number, size);
      } else if (role === "far") {
        const target = operands[i] as FarPointer;
        this.value32(target.offset);
        this.little(target.selector, 2);
      }
    }
  }

  private writePrefixes(
    form: Form,
    mnemonic: string,
    operands: readonly Operand[],
    memory: MemoryOperand | undefined,
  ): void {
    for (const prefix of this.prefixes) {
      const byte = prefixBytes[prefix];
      if (
        prefix === "lock" &&
        !(form.row.lockable && memory && operands.indexOf(memory) === (form.swapped ? 1 : 0))
      ) {
        throw new AssemblyError(
          mnemonic,
          operands,
          "LOCK takes a read-modify-write of memory; here it is undefined",
        );
      }
      if (byte >= 0xf2 && form.row.repeat === "none") {
        throw new AssemblyError(mnemonic, operands, `${prefix} belongs before a string instruction`);
      }
      this.put(byte);
    }
  }

  private writeAddress(
    mnemonic: string,
    operands: readonly Operand[],
    reg: number,
    memory: MemoryOperand,
  ): void {
    let { base, index } = memory;
    let scale = index ? (memory.scale ?? 1) : 1;
    if ((base && base.class !== "r32") || (index && index.class !== "r32")) {
      throw new AssemblyError(
        mnemonic,
        operands,
        "an address takes 32-bit registers, or only BX, BP, SI, DI",
      );
    }
    if (index?.number === 4) throw new AssemblyError(mnemonic, operands, "ESP cannot be an index");
    if (![1, 2, 4, 8].includes(scale)) throw new AssemblyError(mnemonic, operands, "a scale is 1, 2, 4 or 8");
    // An index without a base costs a SIB byte and 4 bytes of displacement. EBP as a base would change the segment.
    if (index && !base && index.number !== 5) {
      if (scale === 1) {
        base = index;
        index = undefined;
      } else if (scale === 2) {
        base = index;
        scale = 1;
      }
    }
    const displacement = memory.displacement ?? 0;
    const numeric = typeof displacement === "number";
    if (numeric && !immediateFits(displacement, 4)) {
      throw new AssemblyError(mnemonic, operands, `displacement ${displacement} does not fit in 32 bits`);
    }
    if (!base && !index) {
      this.put((reg << 3) | 5);
      this.value32(displacement);
      return;
    }
    const small = numeric && (displacement | 0) >= -128 && (displacement | 0) <= 127;
    const mod = !base ? 0 : numeric && (displacement | 0) === 0 && base.number !== 5 ? 0 : small ? 1 : 2;
    if (index || base!.number === 4) {
      this.put((mod << 6) | (reg << 3) | 4);
      const scaleBits = scale === 1 ? 0 : scale === 2 ? 1 : scale === 4 ? 2 : 3;
      this.put((scaleBits << 6) | ((index ? index.number : 4) << 3) | (base ? base.number : 5));
    } else {
      this.put((mod << 6) | (reg << 3) | base!.number);
    }
    if (mod === 1) this.put(displacement as number);
    else if (mod === 2 || !base) this.value32(displacement);
  }

  /** BX or BP, plus SI or DI, plus a 16-bit displacement. */
  private writeAddress16(
    mnemonic: string,
    operands: readonly Operand[],
    reg: number,
    memory: MemoryOperand,
  ): void {
    const names = [memory.base?.name, memory.index?.name].filter((name) => name !== undefined).sort();
    const rm = ["bx,si", "bx,di", "bp,si", "bp,di", "si", "di", "bp", "bx"].findIndex(
      (pair) => pair.split(",").sort().join() === names.join(),
    );
    const displacement = memory.displacement ?? 0;
    if (rm < 0 || (memory.scale ?? 1) !== 1) {
      throw new AssemblyError(
        mnemonic,
        operands,
        "a 16-bit address is BX or BP, plus SI or DI, plus a number",
      );
    }
    if (typeof displacement !== "number" || !immediateFits(displacement, 2)) {
      throw new AssemblyError(mnemonic, operands, "the displacement does not fit in 16 bits");
    }
    const value = (displacement << 16) >> 16;
    const mod = value === 0 && rm !== 6 ? 0 : value >= -128 && value <= 127 ? 1 : 2;
    this.put((mod << 6) | (reg << 3) | rm);
    if (mod > 0) this.little(value, mod);
  }

  private datum(name: string, value: number, size: 1 | 2 | 4): void {
    if (!immediateFits(value, size))
      throw new AssemblyError(name, [value], `it does not fit in ${size * 8} bits`);
    this.reserve(size);
    this.little(value, size);
  }

  private value32(value: number | SymbolOperand | Label): void {
    if (typeof value === "number") this.little(value, 4);
    else this.field32(value, "absolute32");
  }

  private field32(target: Label | SymbolOperand, kind: Pending["kind"]): void {
    this.reserve(4);
    this.pending.push({ position: this.position, gaps: this.gaps.length, kind, target, addend: 0 });
    this.little(0, 4);
  }

  private little(value: number, size: number): void {
    for (let i = 0; i < size; i++) this.buffer[this.position++] = value >> (8 * i);
  }

  private put(byte: number): void {
    this.buffer[this.position++] = byte;
  }

  private reserve(size: number): void {
    if (this.position + size <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.position + size));
    larger.set(this.buffer);
    this.buffer = larger;
  }
}

function nearestBefore(anchors: ReadonlyArray<readonly [string, number]>, offset: number) {
  let low = 0;
  let high = anchors.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (anchors[middle]![1] <= offset) low = middle + 1;
    else high = middle;
  }
  return anchors[low - 1];
}
