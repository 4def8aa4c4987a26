/**
 * Where in the source an address is: `lines/NAME` of the boot archive is the `.debug_line` section of image NAME (`lines/kernel` the
 * kernel's own), as toolchain/src/link/dwarf.ts writes it. It is read where it lies, without memory or locks, so that a panic can do it too.
 * Addresses in it are those of the image at its preferred base.
 * Source: DWARF Debugging Information Format, version 4, section 6.2.
 */

import { print, printNumber } from "../console";
import { type ArchiveEntry, fileContents, findFile } from "./archive";

const VERSION: u32 = 4;
const FIXED_HEADER: usize = 10;
const LNS_COPY: u32 = 1;
const LNS_ADVANCE_PC: u32 = 2;
const LNS_ADVANCE_LINE: u32 = 3;
const LNS_SET_FILE: u32 = 4;
const LNS_SET_COLUMN: u32 = 5;
const LNE_END_SEQUENCE: u32 = 1;
const LNE_SET_ADDRESS: u32 = 2;
const EXTENDED: u32 = 0;

/** What the line program has come to: its registers, and the row before. */
@unmanaged
class LineState {
  at: usize = 0;
  end: usize = 0;
  address: u32 = 0;
  file: u32 = 0;
  line: u32 = 0;
  /** The row before starts here; 0 when a sequence has just begun. */
  rowAddress: u32 = 0;
  rowFile: u32 = 0;
  rowLine: u32 = 0;
  wanted: u32 = 0;
  /** The row before covers the address wanted. */
  found: u32 = 0;
}

function unsigned(state: LineState): u32 {
  let value: u32 = 0;
  for (let shift: u32 = 0; state.at < state.end; shift += 7) {
    const byte: u32 = load<u8>(state.at++);
    value |= (byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}

function signed(state: LineState): i32 {
  const start = state.at;
  const value = unsigned(state);
  const bits = <u32>(state.at - start) * 7;
  return bits < 32 && value & (1 << (bits - 1)) ? <i32>(value | (0xffffffff << bits)) : <i32>value;
}

/** A row of the table: does the one before it reach to here? */
function row(state: LineState): void {
  if (state.rowAddress !== 0 && state.wanted >= state.rowAddress && state.wanted < state.address) {
    state.found = 1;
    return;
  }
  state.rowAddress = state.address;
  state.rowFile = state.file;
  state.rowLine = state.line;
}

function restart(state: LineState): void {
  state.address = 0;
  state.file = 1;
  state.line = 1;
  state.rowAddress = 0;
}

function extended(state: LineState): void {
  const length = unsigned(state);
  const next = state.at + length;
  const operation: u32 = length !== 0 ? load<u8>(state.at) : 0;
  if (operation === LNE_SET_ADDRESS) state.address = load<u32>(state.at, 1);
  else if (operation === LNE_END_SEQUENCE) {
    row(state);
    if (!state.found) restart(state);
  }
  state.at = next;
}

/** Runs the program until a row covers the address wanted. */
function runProgram(state: LineState, base: i32, range: u32, opcodes: u32): void {
  restart(state);
  while (state.at < state.end && !state.found) {
    const operation: u32 = load<u8>(state.at++);
    if (operation >= opcodes) {
      const step = operation - opcodes;
      state.address += step / range;
      state.line += <u32>(base + <i32>(step % range));
      row(state);
    } else if (operation === EXTENDED) extended(state);
    else if (operation === LNS_COPY) row(state);
    else if (operation === LNS_ADVANCE_PC) state.address += unsigned(state);
    else if (operation === LNS_ADVANCE_LINE) state.line += <u32>signed(state);
    else if (operation === LNS_SET_FILE) state.file = unsigned(state);
    else if (operation === LNS_SET_COLUMN) unsigned(state);
    else return;
  }
}

function afterString(at: usize, end: usize): usize {
  while (at < end && load<u8>(at) !== 0) at++;
  return at + 1;
}

/** Prints the path of file `index`; the tables start at `directories`. */
function printFile(directories: usize, end: usize, index: u32): void {
  const state = changetype<LineState>(stackAlloc(offsetof<LineState>()));
  state.end = end;
  state.at = directories;
  while (state.at < end && load<u8>(state.at) !== 0) state.at = afterString(state.at, end);
  state.at++;
  for (let file: u32 = 1; state.at < end && load<u8>(state.at) !== 0; file++) {
    const name = state.at;
    state.at = afterString(name, end);
    let directory = unsigned(state);
    unsigned(state);
    unsigned(state);
    if (file !== index) continue;
    if (directory !== 0) {
      let path = directories;
      while (--directory !== 0) path = afterString(path, end);
      print(path);
      print(text("/"));
    }
    print(name);
    return;
  }
}

/** Prints `before` and "FILE:LINE" for an address of image `name` at its preferred base. False, with nothing printed, if that is not known. */
export function printSource(name: usize, address: u32, before: usize): bool {
  const entry: ArchiveEntry | null = findFile(text("lines/"), name);
  if (!entry || entry.size < <u32>FIXED_HEADER + 6) return false;
  const start = fileContents(entry);
  const header = start + FIXED_HEADER;
  if (load<u16>(start, 4) !== VERSION) return false;
  const opcodes: u32 = load<u8>(header, 5);
  const directories = header + 5 + opcodes;
  const state = changetype<LineState>(stackAlloc(offsetof<LineState>()));
  memory.fill(changetype<usize>(state), 0, offsetof<LineState>());
  state.end = start + entry.size;
  state.at = header + load<u32>(start, 6);
  state.wanted = address;
  const range: u32 = load<u8>(header, 4);
  if (state.at > state.end || directories > state.at || range === 0) return false;
  const program = state.at;
  runProgram(state, <i32>load<i8>(header, 3), range, opcodes);
  if (!state.found) return false;
  print(before);
  printFile(directories, program, state.rowFile);
  print(text(":"));
  printNumber(state.rowLine);
  return true;
}
