/**
 * The borders inside the toolchain. One image is built in four steps, each of which sees only the shapes below:
 *
 *   front    guest sources → one `FrontModule` (AssemblyScript run at two bases, compared, relocations found)
 *   back     FrontModule → `CodeObject` (SSA IR, optimised, register-allocated machine code)
 *   assemble *.asm.ts of the image → another `CodeObject`
 *   link     CodeObjects + data → ELF32 image
 *
 * Linear memory IS the guest's address space: an i32 address in wasm is a virtual address, a load at p is a machine
 * load at p through DS. A wasm table index never exists at run time: wherever one appears (in code or in data) it is
 * a relocation to the function's code address, and `call_indirect` is a plain indirect call of that address.
 *
 * Symbols are strings:
 *   "NAME"            a function or assembly label of this image: guest functions by AssemblyScript's internal name
 *                     ("os/kernel/boot/start"); exported ones by their export name too; assembly labels by their name
 *   "data"            start of the image's wasm static data (the front's memory base); addend = distance from it
 *   "global:NAME"     the storage of a mutable wasm global (4 or 8 bytes, in .data, or .bss when zero)
 *   "import:LIB!NAME" the slot (4 bytes in .got) that the loader fills with the address of LIB's export NAME
 */

/** Where a source construct stands. Lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A 32-bit field whose value is known only when the image is linked (or relocated). */
export interface Fixup {
  /** Byte offset of the field in its section. */
  readonly offset: number;
  /** absolute32: address of symbol + addend. relative32: that minus the address of the byte after the field. */
  readonly kind: "absolute32" | "relative32";
  readonly symbol: string;
  readonly addend: number;
}

/** A wasm module as AssemblyScript made it, plus what only the front knows. */
export interface FrontModule {
  /** Image name: "kernel", "rt", "hello". */
  readonly name: string;
  /** The wasm binary compiled at `memoryBase`; the reader of `back` parses it. */
  readonly wasm: Uint8Array;
  readonly memoryBase: number;
  /** End of static data, zero data without a segment included (AssemblyScript's own count). */
  readonly dataEnd: number;
  /** First wasm table index in use. */
  readonly tableBase: number;
  /**
   * Constants in code that are addresses. Key: byte offset in `wasm` of the i32.const (or of the load/store whose
   * offset immediate it is). "data": the value is an address of static data. "function": it is a table index.
   * `sign` is -1 where the compiler stored the negated address (x - (-address)).
   */
  readonly codeRelocations: ReadonlyMap<
    number,
    { readonly kind: "data" | "function"; readonly sign: 1 | -1 }
  >;
  /** The same for 32-bit words of static data; offsets count from memoryBase. */
  readonly dataRelocations: ReadonlyArray<{ readonly offset: number; readonly kind: "data" | "function" }>;
  /** Versions of functions of libraries, by "LIB!NAME": those that this image may import, and a library's own. */
  readonly signatures?: ReadonlyMap<string, number>;
  /** Position of the code at a byte offset of `wasm`, from the source map; undefined between mapped ranges. */
  sourceAt(wasmOffset: number): SourcePosition | undefined;
}

/** A parameter or local that a debugger can show; `frameOffset` is relative to EBP (DW_OP_fbreg after the CFA is set). */
export interface VariableInfo {
  readonly name: string;
  readonly type: "i32" | "i64" | "f32" | "f64";
  readonly parameter: boolean;
  readonly frameOffset: number;
}

export interface FunctionInfo {
  readonly name: string;
  /** Names under which other images or assembly reach it; empty for internal functions. */
  readonly exports: readonly string[];
  /** Range in the text section of its CodeObject. */
  readonly offset: number;
  readonly size: number;
  /** Line table: code offset (from `offset`) where each position starts, ascending. */
  readonly lines: ReadonlyArray<{ readonly offset: number; readonly position: SourcePosition }>;
  readonly variables: readonly VariableInfo[];
  /** True when the function sets up EBP as frame pointer (push ebp; mov ebp, esp); false for frameless leaves. */
  readonly framed: boolean;
}

/** A function that this image takes from a shared library. */
export interface ImportedFunction {
  readonly library: string;
  readonly name: string;
  /** First use, for error messages. */
  readonly position?: SourcePosition;
}

export interface DataSection {
  /** Initialised bytes from the memory base (or from 0 for other parts). */
  readonly bytes: Uint8Array;
  /** Size with trailing zero data. */
  readonly size: number;
  readonly fixups: readonly Fixup[];
}

/** What a back end or the assembler hands to the linker. */
export interface CodeObject {
  readonly name: string;
  readonly text: Uint8Array;
  readonly textFixups: readonly Fixup[];
  readonly functions: readonly FunctionInfo[];
  /** Static data; the symbol "data" is its first byte. Absent in assembled objects. */
  readonly data?: DataSection;
  /** Storage of mutable wasm globals. */
  readonly globals: ReadonlyArray<{
    readonly name: string;
    readonly size: 4 | 8;
    readonly initial: Uint8Array;
    readonly fixup?: Fixup;
  }>;
  readonly imports: readonly ImportedFunction[];
  /** The front's versions of functions of libraries; absent in assembled objects. */
  readonly signatures?: ReadonlyMap<string, number>;
  /** Symbol of the function that initialises the module's globals (wasm start), if there is one. */
  readonly start?: string;
}

/** A build error with the place it comes from; every tool of the chain throws this and nothing else on bad input. */
export class BuildError extends Error {
  readonly file: string | undefined;
  readonly position: SourcePosition | undefined;
  readonly symbol: string | undefined;
  constructor(
    message: string,
    where: {
      file?: string | undefined;
      position?: SourcePosition | undefined;
      symbol?: string | undefined;
    } = {},
    options?: ErrorOptions,
  ) {
    const place = where.position
      ? `${where.position.file}:${where.position.line}:${where.position.column}: `
      : where.file
        ? `${where.file}: `
        : "";
    super(place + message, options);
    this.name = "BuildError";
    this.file = where.file ?? where.position?.file;
    this.position = where.position;
    this.symbol = where.symbol;
  }
}
