/** The numeric opcodes of wasm (core specification §5.4.5, with sign extension and saturating truncation). */
import type { Operation, ValueType } from "../ir/instructions.ts";

export interface NumericOpcode {
  readonly code: number;
  /** Text-format name, for messages and tests. */
  readonly name: string;
  /** IR operation; "eqz" has none of its own. */
  readonly operation: Operation | "eqz";
  readonly operands: readonly ValueType[];
  readonly result: ValueType;
}

const table: NumericOpcode[] = [];

function row(first: number, type: ValueType, count: number, result: ValueType | "same", names: string): void {
  for (const [n, name] of names.split(" ").entries()) {
    const [shown, operation] = name.includes("=") ? name.split("=") : [name, name];
    table.push({
      code: first + n,
      name: `${result === "same" || result === "i32" ? type : result}.${shown}`,
      operation: operation as Operation | "eqz",
      operands: Array.from({ length: count }, () => type),
      result: result === "same" ? type : result,
    });
  }
}

const integerComparisons = "eq ne lt_s=ltS lt_u=ltU gt_s=gtS gt_u=gtU le_s=leS le_u=leU ge_s=geS ge_u=geU";
const integerBinary =
  "add sub mul div_s=divS div_u=divU rem_s=remS rem_u=remU and or xor shl shr_s=shrS shr_u=shrU rotl rotr";
const floatComparisons = "eq ne lt gt le ge";
const floatUnary = "abs neg ceil floor trunc nearest sqrt";
const floatBinary = "add sub mul div min max copysign";

row(0x45, "i32", 1, "i32", "eqz");
row(0x46, "i32", 2, "i32", integerComparisons);
row(0x50, "i64", 1, "i32", "eqz");
row(0x51, "i64", 2, "i32", integerComparisons);
row(0x5b, "f32", 2, "i32", floatComparisons);
row(0x61, "f64", 2, "i32", floatComparisons);
row(0x67, "i32", 1, "same", "clz ctz popcnt");
row(0x6a, "i32", 2, "same", integerBinary);
row(0x79, "i64", 1, "same", "clz ctz popcnt");
row(0x7c, "i64", 2, "same", integerBinary);
row(0x8b, "f32", 1, "same", floatUnary);
row(0x92, "f32", 2, "same", floatBinary);
row(0x99, "f64", 1, "same", floatUnary);
row(0xa0, "f64", 2, "same", floatBinary);

function conversions(first: number, result: ValueType, names: string): void {
  for (const [n, text] of names.split(" ").entries()) {
    const [shown, operation, type] = text.split("=");
    table.push({
      code: first + n,
      name: `${result}.${shown}`,
      operation: operation as Operation,
      operands: [type as ValueType],
      result,
    });
  }
}

const truncations =
  "trunc_f32_s=truncateS=f32 trunc_f32_u=truncateU=f32 trunc_f64_s=truncateS=f64 trunc_f64_u=truncateU=f64";
const saturations =
  "trunc_sat_f32_s=saturateS=f32 trunc_sat_f32_u=saturateU=f32 trunc_sat_f64_s=saturateS=f64 trunc_sat_f64_u=saturateU=f64";
const converts =
  "convert_i32_s=convertS=i32 convert_i32_u=convertU=i32 convert_i64_s=convertS=i64 convert_i64_u=convertU=i64";

conversions(0xa7, "i32", "wrap_i64=wrap=i64");
conversions(0xa8, "i32", truncations);
conversions(0xac, "i64", "extend_i32_s=extendS=i32 extend_i32_u=extendU=i32");
conversions(0xae, "i64", truncations);
conversions(0xb2, "f32", `${converts} demote_f64=demote=f64`);
conversions(0xb7, "f64", `${converts} promote_f32=promote=f32`);
conversions(0xbc, "i32", "reinterpret_f32=reinterpret=f32");
conversions(0xbd, "i64", "reinterpret_f64=reinterpret=f64");
conversions(0xbe, "f32", "reinterpret_i32=reinterpret=i32");
conversions(0xbf, "f64", "reinterpret_i64=reinterpret=i64");
conversions(0xc0, "i32", "extend8_s=extend8S=i32 extend16_s=extend16S=i32");
conversions(0xc2, "i64", "extend8_s=extend8S=i64 extend16_s=extend16S=i64 extend32_s=extend32S=i64");
/** Opcodes with the 0xfc prefix are numbered from 0xfc00. */
conversions(0xfc00, "i32", saturations);
conversions(0xfc04, "i64", saturations);

export const numericOpcodes: readonly NumericOpcode[] = table;

export const numericByCode: ReadonlyMap<number, NumericOpcode> = new Map(table.map((row) => [row.code, row]));

export interface MemoryOpcode {
  readonly code: number;
  readonly name: string;
  readonly type: ValueType;
  readonly store: boolean;
  readonly width: 1 | 2 | 4 | 8;
  readonly signed: boolean;
}

function access(
  code: number,
  type: ValueType,
  name: string,
  width: 1 | 2 | 4 | 8,
  signed = false,
): [number, MemoryOpcode] {
  return [code, { code, name: `${type}.${name}`, type, store: name.startsWith("store"), width, signed }];
}

export const memoryOpcodes: ReadonlyMap<number, MemoryOpcode> = new Map([
  access(0x28, "i32", "load", 4),
  access(0x29, "i64", "load", 8),
  access(0x2a, "f32", "load", 4),
  access(0x2b, "f64", "load", 8),
  access(0x2c, "i32", "load8_s", 1, true),
  access(0x2d, "i32", "load8_u", 1),
  access(0x2e, "i32", "load16_s", 2, true),
  access(0x2f, "i32", "load16_u", 2),
  access(0x30, "i64", "load8_s", 1, true),
  access(0x31, "i64", "load8_u", 1),
  access(0x32, "i64", "load16_s", 2, true),
  access(0x33, "i64", "load16_u", 2),
  access(0x34, "i64", "load32_s", 4, true),
  access(0x35, "i64", "load32_u", 4),
  access(0x36, "i32", "store", 4),
  access(0x37, "i64", "store", 8),
  access(0x38, "f32", "store", 4),
  access(0x39, "f64", "store", 8),
  access(0x3a, "i32", "store8", 1),
  access(0x3b, "i32", "store16", 2),
  access(0x3c, "i64", "store8", 1),
  access(0x3d, "i64", "store16", 2),
  access(0x3e, "i64", "store32", 4),
]);
