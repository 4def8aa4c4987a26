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
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  load: 0x28,
  loadDouble: 0x2b,
  load8s: 0x2c,
  load8u: 0x2d,
  load16s: 0x2e,
  load16u: 0x2f,
  store: 0x36,
  storeDouble: 0x39,
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
  addDouble: 0xa0,
  wrap: 0xa7,
  extendS: 0xac,
  extendU: 0xad,
  toDouble: 0xb7,
  extend8: 0xc0,
  extend16: 0xc1,
} as const;

export const VOID = 0x40;
export const I32 = 0x7f;
export const I64 = 0x7e;

/** Bytes that grow at the end. */
class ByteWriter {
  private buffer = new Uint8Array(4096);
  length = 0;

  byte(value: number): void {
    if (this.length === this.buffer.length) this.grow(1);
    this.buffer[this.length++] = value;
  }

  append(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.buffer.length) this.grow(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  signed(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  name(text: string): void {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  section(id: number, content: ByteWriter): void {
    this.byte(id);
    this.unsigned(content.length);
    this.append(content.finish());
  }

  /** A view, valid until the next write. */
  finish(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private grow(by: number): void {
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + by));
    larger.set(this.finish());
    this.buffer = larger;
  }
}

// Constants of the hot methods below.
const { const: CONST, localGet: GET, localSet: SET, localTee: TEE, load: LOAD, call: CALL } = Op;

/** The code of one function. */
export class BodyWriter {
  private readonly out = new ByteWriter();
  /** Bit n is set when local n (below 32) was read or written; when it was written. */
  touched = 0;
  written = 0;
  /** Blocks, loops and ifs that are open. */
  depth = 0;

  get bytes(): Uint8Array {
    return this.out.finish();
  }

  append(bytes: Uint8Array): void {
    this.out.append(bytes);
  }

  op(first: number, second = -1, third = -1, fourth = -1): this {
    this.out.byte(first);
    if (second >= 0) this.out.byte(second);
    if (third >= 0) this.out.byte(third);
    if (fourth >= 0) this.out.byte(fourth);
    return this;
  }

  constant(value: number): this {
    this.out.byte(CONST);
    this.out.signed(value);
    return this;
  }

  get(local: number): this {
    this.touched |= 1 << local;
    this.out.byte(GET);
    this.out.byte(local);
    return this;
  }

  set(local: number): this {
    this.touched |= 1 << local;
    this.written |= 1 << local;
    this.out.byte(SET);
    this.out.byte(local);
    return this;
  }

  tee(local: number): this {
    this.touched |= 1 << local;
    this.written |= 1 << local;
    this.out.byte(TEE);
    this.out.byte(local);
    return this;
  }

  /** A load or store: the address is on the stack, `offset` is added to it. */
  memory(code: number, offset: number): this {
    this.out.byte(code);
    this.out.byte(0);
    this.out.unsigned(offset);
    return this;
  }

  /** Loads the word at a fixed address. */
  word(address: number): this {
    return this.constant(0).memory(LOAD, address);
  }

  call(index: number): this {
    this.out.byte(CALL);
    this.out.unsigned(index);
    return this;
  }

  /** Ends the function with the result of another of the module. */
  tailCall(index: number, withTailCalls: boolean): this {
    this.out.byte(withTailCalls ? Op.returnCall : CALL);
    this.out.unsigned(index);
    return withTailCalls ? this : this.op(Op.return);
  }

  open(code: number, type: number = VOID): this {
    this.out.byte(code);
    this.out.byte(type);
    this.depth++;
    return this;
  }

  otherwise(): this {
    this.out.byte(Op.else);
    return this;
  }

  close(): this {
    this.out.byte(Op.end);
    this.depth--;
    return this;
  }

  /** Branches to the construct that made `depth` what it is inside it. */
  branch(code: number, target: number): this {
    this.out.byte(code);
    this.out.unsigned(this.depth - target);
    return this;
  }

  /** Branches to one of the constructs by the number on the stack, to the last when there are not so many. */
  branchTable(targets: readonly number[], otherwise: number): this {
    this.out.byte(Op.brTable);
    this.out.unsigned(targets.length);
    for (const target of [...targets, otherwise]) this.out.unsigned(this.depth - target);
    return this;
  }
}

export interface WasmFunction {
  /** Index into the module's types. */
  readonly type: number;
  readonly locals32: number;
  readonly locals64: number;
  readonly body: Uint8Array;
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

export interface WasmModule {
  readonly types: readonly WasmType[];
  /** Functions of `m`; `m.memory` and `m.table` are imported besides. */
  readonly imports: readonly WasmImport[];
  readonly functions: readonly WasmFunction[];
  readonly memoryPages: number;
  /** Names of functions that are exported, by position among `functions`. */
  readonly exports: readonly (readonly [name: string, position: number])[];
  /** Places of the table that get functions: first place, first position, count; null for none. */
  readonly elements: { readonly place: number; readonly position: number; readonly count: number } | null;
}

/** Indices for calls count the imports first. */
export function writeModule(module: WasmModule): Uint8Array {
  const { types, imports, functions, memoryPages, exports, elements } = module;
  const out = new ByteWriter();
  out.append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const described = new ByteWriter();
  described.unsigned(types.length);
  for (const { parameters, results } of types) {
    described.byte(0x60);
    described.byte(parameters);
    for (let i = 0; i < parameters; i++) described.byte(I32);
    described.byte(results);
    for (let i = 0; i < results; i++) described.byte(I32);
  }
  out.section(1, described);

  const imported = new ByteWriter();
  imported.unsigned(imports.length + 2);
  imported.name("m");
  imported.name("memory");
  imported.append(Uint8Array.of(2, 1));
  imported.unsigned(memoryPages);
  imported.unsigned(memoryPages);
  imported.name("m");
  imported.name("table");
  imported.append(Uint8Array.of(1, 0x70, 0, 1));
  for (const item of imports) {
    imported.name("m");
    imported.name(item.name);
    imported.byte(0);
    imported.unsigned(item.type);
  }
  out.section(2, imported);

  const declared = new ByteWriter();
  declared.unsigned(functions.length);
  for (const { type } of functions) declared.unsigned(type);
  out.section(3, declared);

  const exported = new ByteWriter();
  exported.unsigned(exports.length);
  for (const [name, position] of exports) {
    exported.name(name);
    exported.byte(0);
    exported.unsigned(imports.length + position);
  }
  out.section(7, exported);

  if (elements !== null) {
    const placed = new ByteWriter();
    placed.append(Uint8Array.of(1, 0, CONST));
    placed.signed(elements.place);
    placed.byte(Op.end);
    placed.unsigned(elements.count);
    for (let i = 0; i < elements.count; i++) placed.unsigned(imports.length + elements.position + i);
    out.section(9, placed);
  }

  const code = new ByteWriter();
  code.unsigned(functions.length);
  for (const { locals32, locals64, body } of functions) {
    const header = new ByteWriter();
    header.byte(2);
    header.unsigned(locals32);
    header.byte(I32);
    header.unsigned(locals64);
    header.byte(I64);
    code.unsigned(header.length + body.length + 1);
    code.append(header.finish());
    code.append(body);
    code.byte(Op.end);
  }
  out.section(10, code);
  return out.finish();
}
