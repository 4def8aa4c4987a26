/**
 * Operands and results of the typed i386 assembler (`assembler.ts`), as back ends, `*.asm.ts` files and instruction tests
 * write them:
 *
 *   const a = new Assembler();
 *   a.label("copyWords");                       // a symbol of the image
 *   a.emit("mov", ecx, dword({ base: esp, displacement: 8 }));
 *   a.emit("mov", eax, symbol("interruptTable")); // absolute address, filled at link time
 *   const again = a.newLabel();                 // local; jumps to labels take the shortest form that reaches
 *   a.place(again);
 *   a.emit("loop", again);
 *   a.emit("call", symbol("switchTo"));         // relative to a symbol of another object
 *   a.emit("ret");
 *   const code = a.finish();                    // bytes, fixups, label offsets
 *
 * Mnemonics and their operand order are Intel's. Sizes come from the operands; a memory operand always states its own.
 */

export type RegisterClass = "r8" | "r16" | "r32" | "segment" | "control" | "debug" | "st";

export interface Register {
  readonly kind: "register";
  readonly class: RegisterClass;
  /** Encoding in ModR/M and opcodes, 0 to 7. */
  readonly number: number;
  readonly name: string;
}

function register(registerClass: RegisterClass, number: number, name: string): Register {
  return { kind: "register", class: registerClass, number, name };
}

export const al = register("r8", 0, "al");
export const cl = register("r8", 1, "cl");
export const dl = register("r8", 2, "dl");
export const bl = register("r8", 3, "bl");
export const ah = register("r8", 4, "ah");
export const ch = register("r8", 5, "ch");
export const dh = register("r8", 6, "dh");
export const bh = register("r8", 7, "bh");
export const ax = register("r16", 0, "ax");
export const cx = register("r16", 1, "cx");
export const dx = register("r16", 2, "dx");
export const bx = register("r16", 3, "bx");
export const sp = register("r16", 4, "sp");
export const bp = register("r16", 5, "bp");
export const si = register("r16", 6, "si");
export const di = register("r16", 7, "di");
export const eax = register("r32", 0, "eax");
export const ecx = register("r32", 1, "ecx");
export const edx = register("r32", 2, "edx");
export const ebx = register("r32", 3, "ebx");
export const esp = register("r32", 4, "esp");
export const ebp = register("r32", 5, "ebp");
export const esi = register("r32", 6, "esi");
export const edi = register("r32", 7, "edi");
export const es = register("segment", 0, "es");
export const cs = register("segment", 1, "cs");
export const ss = register("segment", 2, "ss");
export const ds = register("segment", 3, "ds");
export const fs = register("segment", 4, "fs");
export const gs = register("segment", 5, "gs");
export const cr0 = register("control", 0, "cr0");
export const cr2 = register("control", 2, "cr2");
export const cr3 = register("control", 3, "cr3");
export const cr4 = register("control", 4, "cr4");

export const registers8: readonly Register[] = [al, cl, dl, bl, ah, ch, dh, bh];
export const registers16: readonly Register[] = [ax, cx, dx, bx, sp, bp, si, di];
export const registers32: readonly Register[] = [eax, ecx, edx, ebx, esp, ebp, esi, edi];
export const segmentRegisters: readonly Register[] = [es, cs, ss, ds, fs, gs];
export const debugRegisters: readonly Register[] = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
  register("debug", n, `dr${n}`),
);
export const stackRegisters: readonly Register[] = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
  register("st", n, `st(${n})`),
);

/** A link-time symbol plus a distance: an immediate, a displacement, or the target of a call or jump. */
export interface SymbolOperand {
  readonly kind: "symbol";
  readonly symbol: string;
  readonly addend: number;
}

export function symbol(name: string, addend = 0): SymbolOperand {
  return { kind: "symbol", symbol: name, addend };
}

/** A place in this assembler's own output, made by `Assembler.newLabel`. */
export interface Label {
  readonly kind: "label";
  readonly id: number;
}

/** A far pointer in the instruction, as the target of a jump or call through a selector. */
export interface FarPointer {
  readonly kind: "far";
  readonly selector: number;
  readonly offset: number | SymbolOperand | Label;
}

export function far(selector: number, offset: number | SymbolOperand | Label): FarPointer {
  return { kind: "far", selector, offset };
}

export interface Address {
  readonly base?: Register | undefined;
  readonly index?: Register | undefined;
  readonly scale?: 1 | 2 | 4 | 8 | undefined;
  /** A label stands for its absolute address: a fixup against the nearest symbol before it. */
  readonly displacement?: number | SymbolOperand | Label | undefined;
  /** Override; without one the processor's default for the base register holds. */
  readonly segment?: Register | undefined;
}

export interface MemoryOperand extends Address {
  readonly kind: "memory";
  /** Size of the datum in bytes; 0 where the instruction defines it (LEA, LGDT, FSAVE, INVLPG). */
  readonly size: 0 | 1 | 2 | 4 | 6 | 8 | 10;
}

export const byte = (address: Address): MemoryOperand => ({ kind: "memory", size: 1, ...address });
export const word = (address: Address): MemoryOperand => ({ kind: "memory", size: 2, ...address });
export const dword = (address: Address): MemoryOperand => ({ kind: "memory", size: 4, ...address });
export const fword = (address: Address): MemoryOperand => ({ kind: "memory", size: 6, ...address });
export const qword = (address: Address): MemoryOperand => ({ kind: "memory", size: 8, ...address });
export const tbyte = (address: Address): MemoryOperand => ({ kind: "memory", size: 10, ...address });
export const memory = (address: Address): MemoryOperand => ({ kind: "memory", size: 0, ...address });

export type Operand = Register | MemoryOperand | SymbolOperand | Label | FarPointer | number;

/** A 32-bit field that the linker fills: absolute32 = symbol + addend; relative32 = that minus the field's end. */
export interface AssemblyFixup {
  readonly offset: number;
  readonly kind: "absolute32" | "relative32";
  readonly symbol: string;
  readonly addend: number;
}

export interface AssembledCode {
  readonly text: Uint8Array;
  readonly fixups: readonly AssemblyFixup[];
  /** Offset of every symbol defined with `label`, in order of definition. */
  readonly symbols: ReadonlyMap<string, number>;
  /** Offset of a local label, by `Label.id`. */
  readonly labels: readonly number[];
}
