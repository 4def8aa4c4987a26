/**
 * Writes WebAssembly modules: instructions of one function body, then the sections around many. Only what the compiler of i386 code
 * needs. Source: WebAssembly core specification 1.0, chapter 5 (binary format).
 */

export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  load: 0x28,
  load8s: 0x2c,
  load8u: 0x2d,
  load16s: 0x2e,
  load16u: 0x2f,
  store: 0x36,
  store8: 0x3a,
  store16: 0x3b,
  const: 0x41,
  const64: 0x42,
  eqz: 0x45,
  eq: 0x46,
  ne: 0x47,
  ltS: 0x48,
  ltU: 0x49,
  gtS: 0x4a,
  gtU: 0x4b,
  leS: 0x4c,
  leU: 0x4d,
  geS: 0x4e,
  geU: 0x4f,
  ne64: 0x52,
  geU64: 0x5a,
  popcnt: 0x69,
  add: 0x6a,
  sub: 0x6b,
  mul: 0x6c,
  divU: 0x6e,
  remU: 0x70,
  and: 0x71,
  or: 0x72,
  xor: 0x73,
  shl: 0x74,
  shrS: 0x75,
  shrU: 0x76,
  rotl: 0x77,
  rotr: 0x78,
  mul64: 0x7e,
  divU64: 0x80,
  remU64: 0x82,
  or64: 0x84,
  shl64: 0x86,
  shrS64: 0x87,
  shrU64: 0x88,
  wrap: 0xa7,
  extendS: 0xac,
  extendU: 0xad,
  extend8: 0xc0,
  extend16: 0xc1,
} as const;

export const VOID = 0x40;
export const I32 = 0x7f;
export const I64 = 0x7e;

export function unsigned(bytes: number[], value: number): void {
  let rest = value >>> 0;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
}

function signed(bytes: number[], value: number): void {
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      bytes.push(low);
      return;
    }
    bytes.push(low | 0x80);
  }
}

/** The code of one function. */
export class BodyWriter {
  readonly bytes: number[] = [];
  /** Blocks, loops and ifs that are open. */
  depth = 0;

  op(...codes: number[]): this {
    for (const code of codes) this.bytes.push(code);
    return this;
  }

  constant(value: number): this {
    this.bytes.push(Op.const);
    signed(this.bytes, value);
    return this;
  }

  get(local: number): this {
    this.bytes.push(Op.localGet);
    unsigned(this.bytes, local);
    return this;
  }

  set(local: number): this {
    this.bytes.push(Op.localSet);
    unsigned(this.bytes, local);
    return this;
  }

  tee(local: number): this {
    this.bytes.push(Op.localTee);
    unsigned(this.bytes, local);
    return this;
  }

  /** A load or store: the address is on the stack, `offset` is added to it. */
  memory(code: number, offset: number): this {
    this.bytes.push(code, 0);
    unsigned(this.bytes, offset);
    return this;
  }

  /** Loads the word at a fixed address. */
  word(address: number): this {
    return this.constant(0).memory(Op.load, address);
  }

  call(index: number): this {
    this.bytes.push(Op.call);
    unsigned(this.bytes, index);
    return this;
  }

  open(code: number, type: number = VOID): this {
    this.bytes.push(code, type);
    this.depth++;
    return this;
  }

  otherwise(): this {
    this.bytes.push(Op.else);
    return this;
  }

  close(): this {
    this.bytes.push(Op.end);
    this.depth--;
    return this;
  }

  /** Branches to the construct that made `depth` what it is inside it. */
  branch(code: number, target: number): this {
    this.bytes.push(code);
    unsigned(this.bytes, this.depth - target);
    return this;
  }
}

export interface WasmFunction {
  /** Index into the module's types. */
  readonly type: number;
  readonly locals32: number;
  readonly locals64: number;
  readonly body: readonly number[];
  readonly exported: boolean;
}

export interface WasmImport {
  readonly name: string;
  readonly type: number;
}

export interface WasmType {
  /** Numbers of i32 parameters and results. */
  readonly parameters: number;
  readonly results: number;
}

function section(out: number[], id: number, content: readonly number[]): void {
  out.push(id);
  unsigned(out, content.length);
  for (const byte of content) out.push(byte);
}

function name(out: number[], text: string): void {
  unsigned(out, text.length);
  for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i));
}

/**
 * A module that imports `m.memory` and functions from `m`. Exported functions are named by their position among `functions`; indices for
 * calls count the imports first.
 */
export function writeModule(
  types: readonly WasmType[],
  imports: readonly WasmImport[],
  functions: readonly WasmFunction[],
  memoryPages: number,
): Uint8Array {
  const out = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const words: number[] = [];
  unsigned(words, types.length);
  for (const { parameters, results } of types) {
    words.push(0x60, parameters);
    for (let i = 0; i < parameters; i++) words.push(I32);
    words.push(results);
    for (let i = 0; i < results; i++) words.push(I32);
  }
  section(out, 1, words);

  const imported: number[] = [];
  unsigned(imported, imports.length + 1);
  name(imported, "m");
  name(imported, "memory");
  imported.push(2, 1);
  unsigned(imported, memoryPages);
  unsigned(imported, memoryPages);
  for (const item of imports) {
    name(imported, "m");
    name(imported, item.name);
    imported.push(0);
    unsigned(imported, item.type);
  }
  section(out, 2, imported);

  const declared: number[] = [];
  unsigned(declared, functions.length);
  for (const { type } of functions) unsigned(declared, type);
  section(out, 3, declared);

  const exports: number[] = [];
  unsigned(exports, functions.filter((item) => item.exported).length);
  for (const [index, item] of functions.entries()) {
    if (!item.exported) continue;
    name(exports, String(index));
    exports.push(0);
    unsigned(exports, imports.length + index);
  }
  section(out, 7, exports);

  const code: number[] = [];
  unsigned(code, functions.length);
  for (const { locals32, locals64, body } of functions) {
    const header: number[] = [2];
    unsigned(header, locals32);
    header.push(I32);
    unsigned(header, locals64);
    header.push(I64);
    unsigned(code, header.length + body.length + 1);
    for (const byte of header) code.push(byte);
    for (const byte of body) code.push(byte);
    code.push(Op.end);
  }
  section(out, 10, code);
  return Uint8Array.from(out);
}
