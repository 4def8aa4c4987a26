/**
 * Debug information of one image: DWARF 4 sections that take an address back to source line, function and variables.
 *
 * One compilation unit per image. Every function is a sequence of its own in the line table, so that gaps between
 * functions belong to no line. Variables are described relative to EBP, hence only in functions that keep EBP as their
 * frame pointer. `.debug_frame` describes the standard prologue (push ebp; mov ebp, esp) and the epilogues that end it.
 * Source: DWARF Debugging Information Format, version 4, chapters 2, 3, 6, 7.
 */
import type { CodeObject, FunctionInfo, VariableInfo } from "../contract.ts";
import { ByteWriter } from "./byte-writer.ts";

const DW_TAG_formal_parameter = 0x05;
const DW_TAG_compile_unit = 0x11;
const DW_TAG_base_type = 0x24;
const DW_TAG_subprogram = 0x2e;
const DW_TAG_variable = 0x34;
const DW_AT_location = 0x02;
const DW_AT_name = 0x03;
const DW_AT_byte_size = 0x0b;
const DW_AT_stmt_list = 0x10;
const DW_AT_low_pc = 0x11;
const DW_AT_high_pc = 0x12;
const DW_AT_language = 0x13;
const DW_AT_comp_dir = 0x1b;
const DW_AT_producer = 0x25;
const DW_AT_decl_file = 0x3a;
const DW_AT_decl_line = 0x3b;
const DW_AT_encoding = 0x3e;
const DW_AT_external = 0x3f;
const DW_AT_frame_base = 0x40;
const DW_AT_type = 0x49;
const DW_FORM_addr = 0x01;
const DW_FORM_data4 = 0x06;
const DW_FORM_string = 0x08;
const DW_FORM_data1 = 0x0b;
const DW_FORM_flag = 0x0c;
const DW_FORM_udata = 0x0f;
const DW_FORM_ref4 = 0x13;
const DW_FORM_sec_offset = 0x17;
const DW_FORM_exprloc = 0x18;
const DW_LANG_C99 = 0x0c;
const DW_ATE_float = 4;
const DW_ATE_signed = 5;
const DW_OP_addr = 0x03;
const DW_OP_breg5 = 0x75;
const DW_OP_fbreg = 0x91;
const DW_LNS_copy = 1;
const DW_LNS_advance_pc = 2;
const DW_LNS_advance_line = 3;
const DW_LNS_set_file = 4;
const DW_LNS_set_column = 5;
const DW_LNE_end_sequence = 1;
const DW_LNE_set_address = 2;
const DW_CFA_advance_loc = 0x40;
const DW_CFA_offset = 0x80;
const DW_CFA_advance_loc2 = 0x03;
const DW_CFA_advance_loc4 = 0x04;
const DW_CFA_remember_state = 0x0a;
const DW_CFA_restore_state = 0x0b;
const DW_CFA_def_cfa = 0x0c;
const DWARF_ESP = 4;
const DWARF_EBP = 5;
const DWARF_RETURN_ADDRESS = 8;

const ABBREVIATION = {
  unit: 1,
  baseType: 2,
  functionWithVariables: 3,
  function: 4,
  parameter: 5,
  local: 6,
  global: 7,
} as const;

/** One object of the image at its final address. */
export interface PlacedObject {
  readonly object: CodeObject;
  readonly textAddress: number;
}

export interface PlacedGlobal {
  readonly name: string;
  readonly size: 4 | 8;
  readonly address: number;
}

export interface DebugSections {
  readonly info: Uint8Array;
  readonly abbreviations: Uint8Array;
  readonly lines: Uint8Array;
  readonly frames: Uint8Array;
}

/** Source files in order of first use, split into directory and name as the line table wants them. */
class FileTable {
  private readonly directories = new Map<string, number>();
  private readonly files = new Map<string, number>();
  private readonly entries: { name: string; directory: number }[] = [];

  index(path: string): number {
    let index = this.files.get(path);
    if (index === undefined) {
      const slash = path.lastIndexOf("/");
      const folder = slash < 0 ? "" : path.slice(0, slash);
      let directory = folder === "" ? 0 : this.directories.get(folder);
      if (directory === undefined) {
        directory = this.directories.size + 1;
        this.directories.set(folder, directory);
      }
      this.entries.push({ name: path.slice(slash + 1), directory });
      index = this.entries.length;
      this.files.set(path, index);
    }
    return index;
  }

  write(writer: ByteWriter): void {
    for (const folder of this.directories.keys()) writer.string(folder);
    writer.u8(0);
    for (const { name, directory } of this.entries) {
      writer.string(name);
      writer.unsigned(directory);
      writer.unsigned(0);
      writer.unsigned(0);
    }
    writer.u8(0);
  }
}

/** Writes `bytes` behind its own 32-bit length, as every DWARF unit starts. */
function writeUnit(bytes: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(bytes.length);
  writer.bytes(bytes);
  return writer.finish();
}

/**
 * The name a person types in a debugger: AssemblyScript's internal name without its module path. The symbol table has the
 * whole name; as a linkage name here it would hide the short one from gdb.
 */
export function shortName(internalName: string): string {
  return internalName.slice(internalName.lastIndexOf("/") + 1);
}

const LINE_BASE = -5;
const LINE_RANGE = 14;
const OPCODE_BASE = 13;

function writeSequence(writer: ByteWriter, info: FunctionInfo, address: number, files: FileTable): void {
  const first = info.lines[0];
  if (!first || info.size === 0) return;
  writer.bytes([0, 5, DW_LNE_set_address]);
  writer.u32(address);
  let file = 1;
  let line = 1;
  let column = 0;
  let place = 0;
  let started = false;
  info.lines.forEach((entry, index) => {
    const { position } = entry;
    const fileIndex = files.index(position.file);
    if (started && fileIndex === file && position.line === line && position.column === column) return;
    // Where two positions start at one place, the later one is meant.
    if (info.lines[index + 1]?.offset === entry.offset) return;
    if (entry.offset >= info.size) return;
    const offset = started ? entry.offset : 0;
    if (fileIndex !== file) {
      writer.u8(DW_LNS_set_file);
      writer.unsigned(fileIndex);
      file = fileIndex;
    }
    if (position.column !== column) {
      writer.u8(DW_LNS_set_column);
      writer.unsigned(position.column);
      column = position.column;
    }
    const lineStep = position.line - line;
    const special = lineStep - LINE_BASE + LINE_RANGE * (offset - place) + OPCODE_BASE;
    if (lineStep >= LINE_BASE && lineStep < LINE_BASE + LINE_RANGE && special <= 255) {
      writer.u8(special);
    } else {
      if (offset !== place) {
        writer.u8(DW_LNS_advance_pc);
        writer.unsigned(offset - place);
      }
      if (lineStep !== 0) {
        writer.u8(DW_LNS_advance_line);
        writer.signed(lineStep);
      }
      writer.u8(DW_LNS_copy);
    }
    line = position.line;
    place = offset;
    started = true;
  });
  writer.u8(DW_LNS_advance_pc);
  writer.unsigned(info.size - place);
  writer.bytes([0, 1, DW_LNE_end_sequence]);
}

function writeLines(objects: readonly PlacedObject[], files: FileTable): Uint8Array {
  const program = new ByteWriter();
  for (const { object, textAddress } of objects) {
    for (const info of object.functions) writeSequence(program, info, textAddress + info.offset, files);
  }
  const header = new ByteWriter();
  header.bytes([1, 1, 1, LINE_BASE & 0xff, LINE_RANGE, OPCODE_BASE]);
  // Operand counts of the standard opcodes 1 to 12.
  header.bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]);
  files.write(header);
  const writer = new ByteWriter();
  writer.u16(4);
  writer.u32(header.length);
  writer.bytes(header.finish());
  writer.bytes(program.finish());
  return writeUnit(writer.finish());
}

function writeAbbreviations(): Uint8Array {
  const writer = new ByteWriter();
  const declare = (code: number, tag: number, children: boolean, attributes: readonly number[]) => {
    writer.unsigned(code);
    writer.unsigned(tag);
    writer.u8(children ? 1 : 0);
    for (const value of attributes) writer.unsigned(value);
    writer.u16(0);
  };
  const subprogram = [
    DW_AT_name,
    DW_FORM_string,
    DW_AT_external,
    DW_FORM_flag,
    DW_AT_decl_file,
    DW_FORM_udata,
    DW_AT_decl_line,
    DW_FORM_udata,
    DW_AT_low_pc,
    DW_FORM_addr,
    DW_AT_high_pc,
    DW_FORM_data4,
    DW_AT_frame_base,
    DW_FORM_exprloc,
  ];
  const variable = [DW_AT_name, DW_FORM_string, DW_AT_type, DW_FORM_ref4, DW_AT_location, DW_FORM_exprloc];
  declare(ABBREVIATION.unit, DW_TAG_compile_unit, true, [
    DW_AT_producer,
    DW_FORM_string,
    DW_AT_language,
    DW_FORM_data1,
    DW_AT_name,
    DW_FORM_string,
    DW_AT_comp_dir,
    DW_FORM_string,
    DW_AT_low_pc,
    DW_FORM_addr,
    DW_AT_high_pc,
    DW_FORM_data4,
    DW_AT_stmt_list,
    DW_FORM_sec_offset,
  ]);
  declare(ABBREVIATION.baseType, DW_TAG_base_type, false, [
    DW_AT_name,
    DW_FORM_string,
    DW_AT_encoding,
    DW_FORM_data1,
    DW_AT_byte_size,
    DW_FORM_data1,
  ]);
  declare(ABBREVIATION.functionWithVariables, DW_TAG_subprogram, true, subprogram);
  declare(ABBREVIATION.function, DW_TAG_subprogram, false, subprogram);
  declare(ABBREVIATION.parameter, DW_TAG_formal_parameter, false, variable);
  declare(ABBREVIATION.local, DW_TAG_variable, false, variable);
  declare(ABBREVIATION.global, DW_TAG_variable, false, variable);
  writer.u8(0);
  return writer.finish();
}

const BASE_TYPES: ReadonlyArray<{ name: VariableInfo["type"]; encoding: number; size: number }> = [
  { name: "i32", encoding: DW_ATE_signed, size: 4 },
  { name: "i64", encoding: DW_ATE_signed, size: 8 },
  { name: "f32", encoding: DW_ATE_float, size: 4 },
  { name: "f64", encoding: DW_ATE_float, size: 8 },
];

function writeInfo(
  name: string,
  objects: readonly PlacedObject[],
  globals: readonly PlacedGlobal[],
  files: FileTable,
): Uint8Array {
  const lengthSize = 4;
  const writer = new ByteWriter();
  const low = objects[0]?.textAddress ?? 0;
  const last = objects.at(-1);
  const high = last ? last.textAddress + last.object.text.length : 0;
  writer.u16(4);
  writer.u32(0);
  writer.u8(4);
  writer.unsigned(ABBREVIATION.unit);
  writer.string("Rialto toolchain");
  writer.u8(DW_LANG_C99);
  writer.string(name);
  writer.string(".");
  writer.u32(low);
  writer.u32(high - low);
  writer.u32(0);
  const types = new Map<string, number>();
  for (const type of BASE_TYPES) {
    types.set(type.name, writer.length + lengthSize);
    writer.unsigned(ABBREVIATION.baseType);
    writer.string(type.name);
    writer.u8(type.encoding);
    writer.u8(type.size);
  }
  const variable = (abbreviation: number, label: string, type: string, location: ByteWriter) => {
    writer.unsigned(abbreviation);
    writer.string(label);
    writer.u32(types.get(type)!);
    writer.unsigned(location.length);
    writer.bytes(location.finish());
  };
  for (const { object, textAddress } of objects) {
    for (const info of object.functions) {
      // Code without lines (assembly) is in the symbol table only.
      const position = info.lines[0]?.position;
      if (!position) continue;
      const variables = info.framed ? info.variables : [];
      writer.unsigned(variables.length > 0 ? ABBREVIATION.functionWithVariables : ABBREVIATION.function);
      writer.string(shortName(info.name));
      writer.u8(info.exports.length > 0 ? 1 : 0);
      writer.unsigned(files.index(position.file));
      writer.unsigned(position.line);
      writer.u32(textAddress + info.offset);
      writer.u32(info.size);
      writer.bytes([2, DW_OP_breg5, 0]);
      for (const { name: label, type, parameter, frameOffset } of variables) {
        const location = new ByteWriter();
        location.u8(DW_OP_fbreg);
        location.signed(frameOffset);
        variable(parameter ? ABBREVIATION.parameter : ABBREVIATION.local, label, type, location);
      }
      if (variables.length > 0) writer.u8(0);
    }
  }
  for (const global of globals) {
    const location = new ByteWriter();
    location.u8(DW_OP_addr);
    location.u32(global.address);
    variable(ABBREVIATION.global, shortName(global.name), global.size === 4 ? "i32" : "i64", location);
  }
  writer.u8(0);
  return writeUnit(writer.finish());
}

function advance(writer: ByteWriter, distance: number): void {
  if (distance === 0) return;
  if (distance < 0x40) {
    writer.u8(DW_CFA_advance_loc | distance);
  } else if (distance < 0x10000) {
    writer.u8(DW_CFA_advance_loc2);
    writer.u16(distance);
  } else {
    writer.u8(DW_CFA_advance_loc4);
    writer.u32(distance);
  }
}

/** `push` of the registers that a function saves right behind that, in this order, those that it uses: opcode, DWARF number. */
const SAVED_REGISTERS = [
  [0x53, 3],
  [0x56, 6],
  [0x57, 7],
] as const;

/** The bytes `push ebp; mov ebp, esp` in either encoding of the move. */
function startsWithFrame(text: Uint8Array, offset: number): boolean {
  const [push, first, second] = text.subarray(offset, offset + 3);
  return push === 0x55 && ((first === 0x89 && second === 0xe5) || (first === 0x8b && second === 0xec));
}

function writeFrameProgram(writer: ByteWriter, text: Uint8Array, info: FunctionInfo): void {
  if (!info.framed || !startsWithFrame(text, info.offset)) return;
  writer.bytes([DW_CFA_advance_loc | 1, DW_CFA_def_cfa, DWARF_ESP, 8, DW_CFA_offset | DWARF_EBP, 2]);
  writer.bytes([DW_CFA_advance_loc | 2, DW_CFA_def_cfa, DWARF_EBP, 8]);
  let place = 3;
  for (const [push, register] of SAVED_REGISTERS) {
    if (text[info.offset + place] !== push) continue;
    place++;
    // In words below the frame: return address, EBP, then these.
    writer.bytes([DW_CFA_advance_loc | 1, DW_CFA_offset | register, place - 1]);
  }
  // `leave; ret` and `pop ebp; ret` leave one instruction, the return, with the frame gone. The same bytes inside
  // an immediate do no harm: the description holds for the one byte of the return, where no instruction starts then.
  for (let offset = place; offset + 1 < info.size; offset++) {
    const [pop, next] = text.subarray(info.offset + offset, info.offset + offset + 2);
    if ((pop !== 0xc9 && pop !== 0x5d) || (next !== 0xc3 && next !== 0xc2)) continue;
    advance(writer, offset + 1 - place);
    writer.bytes([DW_CFA_remember_state, DW_CFA_def_cfa, DWARF_ESP, 4]);
    advance(writer, 1);
    writer.u8(DW_CFA_restore_state);
    place = offset + 2;
  }
}

function writeFrames(objects: readonly PlacedObject[]): Uint8Array {
  const writer = new ByteWriter();
  const entry = (body: ByteWriter) => {
    body.align(4);
    writer.u32(body.length);
    writer.bytes(body.finish());
  };
  const common = new ByteWriter();
  common.u32(0xffffffff);
  common.bytes([4, 0, 4, 0]);
  common.unsigned(1);
  common.signed(-4);
  common.unsigned(DWARF_RETURN_ADDRESS);
  common.bytes([DW_CFA_def_cfa, DWARF_ESP, 4, DW_CFA_offset | DWARF_RETURN_ADDRESS, 1]);
  entry(common);
  for (const { object, textAddress } of objects) {
    for (const info of object.functions) {
      if (info.lines.length === 0 || info.size === 0) continue;
      const description = new ByteWriter();
      description.u32(0);
      description.u32(textAddress + info.offset);
      description.u32(info.size);
      writeFrameProgram(description, object.text, info);
      entry(description);
    }
  }
  return writer.finish();
}

/** Debug sections for objects in ascending order of address; undefined when no function has lines. */
export function writeDebugSections(
  name: string,
  objects: readonly PlacedObject[],
  globals: readonly PlacedGlobal[],
): DebugSections | undefined {
  const compiled = objects.filter(({ object }) => object.functions.some((info) => info.lines.length > 0));
  if (compiled.length === 0) return undefined;
  const files = new FileTable();
  const info = writeInfo(name, compiled, globals, files);
  const lines = writeLines(compiled, files);
  return { info, abbreviations: writeAbbreviations(), lines, frames: writeFrames(compiled) };
}
