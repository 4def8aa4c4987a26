/**
 * Binaryen's output → the binary that the back end reads: imported globals that stand for addresses become `i32.const` with
 * a five-byte immediate (the recorded relocations), and disappear from imports, global indices and names; exported globals,
 * exports for functions whose address is taken and the source map's address go; static data is replaced by its relocated
 * image. Code moves by that, so the rewriter also keeps the way back from new to old offsets for the source map.
 */

import { BuildError } from "../contract.ts";
import { addressTakenPrefix } from "./optimise.ts";
import { relocationImport } from "./relocate.ts";
import {
  OP_CALL,
  OP_GLOBAL_GET,
  OP_GLOBAL_SET,
  OP_I32_CONST,
  WasmCursor,
  walkExpression,
} from "./wasm-walk.ts";

export interface RewrittenModule {
  readonly wasm: Uint8Array;
  readonly codeRelocations: ReadonlyMap<
    number,
    { readonly kind: "data" | "function"; readonly sign: 1 | -1 }
  >;
  /** Offset in Binaryen's binary of an offset in `wasm`. */
  oldOffset(offset: number): number;
}

export interface ImportUse {
  readonly module: string;
  readonly name: string;
  readonly kind: "function" | "global";
  /** Offset in Binaryen's binary of the first call or access. */
  readonly offset: number | undefined;
}

interface Relocation {
  readonly kind: "data" | "function";
  readonly value: number;
}

class Writer {
  private bytes = new Uint8Array(1 << 16);
  length = 0;

  put(byte: number): void {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  append(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  unsigned(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.put((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.put(rest);
  }

  signed32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) {
        this.put(low);
        return;
      }
      this.put(low | 0x80);
    }
  }

  /** Five bytes whatever the value, so that its place does not depend on it. */
  paddedSigned32(value: number): void {
    for (let i = 0; i < 4; i++) this.put(((value >> (7 * i)) & 0x7f) | 0x80);
    this.put((value >> 28) & 0x7f);
  }

  name(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.unsigned(encoded.length);
    this.append(encoded);
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}

interface Section {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

function sectionsOf(wasm: Uint8Array): Section[] {
  const cursor = new WasmCursor(wasm, 8);
  const sections: Section[] = [];
  while (cursor.at < wasm.length) {
    const id = cursor.byte();
    const size = cursor.unsigned();
    sections.push({ id, start: cursor.at, end: cursor.at + size });
    cursor.at += size;
  }
  return sections;
}

interface ImportEntry {
  readonly module: string;
  readonly name: string;
  readonly kind: number;
  readonly start: number;
  readonly end: number;
}

function readImports(wasm: Uint8Array, section: Section | undefined): ImportEntry[] {
  if (!section) return [];
  const cursor = new WasmCursor(wasm, section.start);
  const entries: ImportEntry[] = [];
  for (let n = cursor.unsigned(); n > 0; n--) {
    const start = cursor.at;
    const module = cursor.name();
    const name = cursor.name();
    const kind = cursor.byte();
    if (kind === 0) cursor.skipNumber();
    else if (kind === 3) cursor.at += 2;
    else throw new BuildError(`the wasm binary imports a memory or table "${module}.${name}"`);
    entries.push({ module, name, kind, start, end: cursor.at });
  }
  return entries;
}

/** Every imported function and global but those that stand for addresses, with the place of its first use in code. */
export function importUses(wasm: Uint8Array): ImportUse[] {
  const sections = sectionsOf(wasm);
  const imports = readImports(
    wasm,
    sections.find((section) => section.id === 2),
  );
  const functions = imports.filter((entry) => entry.kind === 0);
  const globals = imports.filter((entry) => entry.kind === 3);
  const firstCall = new Map<number, number>();
  const firstAccess = new Map<number, number>();
  const code = sections.find((section) => section.id === 10);
  if (code) {
    eachBody(wasm, code, (cursor) => {
      walkExpression(cursor, (opcode, offset) => {
        if (opcode !== OP_CALL && opcode !== OP_GLOBAL_GET && opcode !== OP_GLOBAL_SET) return;
        const index = new WasmCursor(wasm, offset + 1).unsigned();
        const table = opcode === OP_CALL ? firstCall : firstAccess;
        if (!table.has(index)) table.set(index, offset);
      });
    });
  }
  return [
    ...functions.map((entry, i) => ({
      module: entry.module,
      name: entry.name,
      kind: "function" as const,
      offset: firstCall.get(i),
    })),
    ...globals
      .map((entry, i) => ({
        module: entry.module,
        name: entry.name,
        kind: "global" as const,
        offset: firstAccess.get(i),
      }))
      .filter((use) => use.module !== relocationImport),
  ];
}

/** Positions a cursor behind the local declarations of each function body. */
function eachBody(
  wasm: Uint8Array,
  code: Section,
  use: (cursor: WasmCursor, start: number, end: number) => void,
): void {
  const cursor = new WasmCursor(wasm, code.start);
  for (let n = cursor.unsigned(); n > 0; n--) {
    const size = cursor.unsigned();
    const start = cursor.at;
    const end = start + size;
    for (let groups = cursor.unsigned(); groups > 0; groups--) {
      cursor.skipNumber();
      cursor.byte();
    }
    use(cursor, start, end);
    if (cursor.at !== end) throw new BuildError("the wasm binary has a function body of the wrong length");
  }
}

export function rewriteModule(wasm: Uint8Array, memoryBase: number, data: Uint8Array): RewrittenModule {
  const sections = sectionsOf(wasm);
  const imports = readImports(
    wasm,
    sections.find((section) => section.id === 2),
  );
  const globalImports = imports.filter((entry) => entry.kind === 3);
  const relocations = globalImports.map((entry): Relocation => relocationOf(entry, memoryBase, data));
  const segments = dataRuns(data);
  const out = new Writer();
  out.append(wasm.subarray(0, 8));
  const codeRelocations = new Map<number, { kind: "data" | "function"; sign: 1 | -1 }>();
  /** Where the distance between new and old offsets changes. */
  const shifts: { offset: number; old: number }[] = [];

  /** Writes an expression with relocations as constants and other globals renumbered. `base` = offset of `into`'s start in the result. */
  const copyExpression = (
    cursor: WasmCursor,
    into: Writer,
    places: { at: number; kind: "data" | "function" }[],
    moved: { at: number; old: number }[],
  ): void => {
    let copied = cursor.at;
    walkExpression(cursor, (opcode, offset) => {
      if (opcode !== OP_GLOBAL_GET && opcode !== OP_GLOBAL_SET) return;
      const operand = new WasmCursor(wasm, offset + 1);
      const index = operand.unsigned();
      into.append(wasm.subarray(copied, offset));
      copied = operand.at;
      const relocation = relocations[index];
      moved.push({ at: into.length, old: offset });
      if (relocation) {
        places.push({ at: into.length, kind: relocation.kind });
        into.put(OP_I32_CONST);
        into.paddedSigned32(relocation.value);
      } else {
        into.put(opcode);
        into.unsigned(index - relocations.length);
      }
      moved.push({ at: into.length, old: copied });
    });
    into.append(wasm.subarray(copied, cursor.at));
  };

  const emit = (id: number, content: Writer): number => {
    out.put(id);
    out.unsigned(content.length);
    const start = out.length;
    out.append(content.finish());
    return start;
  };

  for (const section of sections) {
    const cursor = new WasmCursor(wasm, section.start);
    const content = new Writer();
    if (section.id === 2) {
      const kept = imports.filter((entry) => entry.kind === 0);
      content.unsigned(kept.length);
      for (const entry of kept) content.append(wasm.subarray(entry.start, entry.end));
      emit(2, content);
    } else if (section.id === 6) {
      const places: { at: number; kind: "data" | "function" }[] = [];
      const count = cursor.unsigned();
      content.unsigned(count);
      for (let n = count; n > 0; n--) {
        content.append(wasm.subarray(cursor.at, cursor.at + 2));
        cursor.at += 2;
        copyExpression(cursor, content, places, []);
      }
      const start = emit(6, content);
      for (const place of places) codeRelocations.set(start + place.at, { kind: place.kind, sign: 1 });
    } else if (section.id === 7) {
      const kept: Uint8Array[] = [];
      for (let n = cursor.unsigned(); n > 0; n--) {
        const start = cursor.at;
        const name = cursor.name();
        const kind = cursor.byte();
        cursor.skipNumber();
        if ((kind === 0 && !name.startsWith(addressTakenPrefix)) || kind === 2)
          kept.push(wasm.subarray(start, cursor.at));
      }
      content.unsigned(kept.length);
      for (const entry of kept) content.append(entry);
      emit(7, content);
    } else if (section.id === 10) {
      const places: { at: number; kind: "data" | "function" }[] = [];
      const moved: { at: number; old: number }[] = [];
      content.unsigned(new WasmCursor(wasm, section.start).unsigned());
      eachBody(wasm, section, (body, start) => {
        const copy = new Writer();
        const inBody: { at: number; kind: "data" | "function" }[] = [];
        const movedInBody: { at: number; old: number }[] = [{ at: 0, old: start }];
        copy.append(wasm.subarray(start, body.at));
        copyExpression(body, copy, inBody, movedInBody);
        content.unsigned(copy.length);
        for (const place of inBody) places.push({ at: content.length + place.at, kind: place.kind });
        for (const move of movedInBody) moved.push({ at: content.length + move.at, old: move.old });
        content.append(copy.finish());
      });
      const start = emit(10, content);
      for (const place of places) codeRelocations.set(start + place.at, { kind: place.kind, sign: 1 });
      for (const move of moved) shifts.push({ offset: start + move.at, old: move.old });
      writeData(segments, memoryBase, data, emit);
    } else if (section.id === 11) {
      // written behind the code
    } else if (section.id === 12) {
      content.unsigned(segments.length);
      emit(12, content);
    } else if (section.id === 0) {
      const name = cursor.name();
      if (name === "name") {
        copyNames(wasm, cursor, section.end, content, relocations.length);
        emit(0, content);
      }
    } else {
      content.append(wasm.subarray(section.start, section.end));
      emit(section.id, content);
    }
  }
  if (!sections.some((section) => section.id === 10)) writeData(segments, memoryBase, data, emit);

  const oldOffset = (offset: number): number => {
    let low = 0;
    let high = shifts.length - 1;
    if (high < 0 || shifts[0]!.offset > offset) return -1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (shifts[middle]!.offset <= offset) low = middle;
      else high = middle - 1;
    }
    return shifts[low]!.old + (offset - shifts[low]!.offset);
  };
  return { wasm: out.finish(), codeRelocations, oldOffset };
}

function relocationOf(entry: ImportEntry, memoryBase: number, data: Uint8Array): Relocation {
  const colon = entry.name.indexOf(":");
  const kind = entry.name.slice(0, colon);
  const address = Number(entry.name.slice(colon + 1));
  if (entry.module !== relocationImport)
    throw new BuildError(`the wasm binary imports a global "${entry.module}.${entry.name}"`);
  if (kind === "data") return { kind, value: address | 0 };
  const at = address - memoryBase;
  return { kind: "function", value: new DataView(data.buffer, data.byteOffset).getInt32(at, true) };
}

/** Ranges of data worth storing; long runs of zeros between them are left out. */
function dataRuns(data: Uint8Array): { start: number; end: number }[] {
  const gap = 32;
  const runs: { start: number; end: number }[] = [];
  let zeros = gap;
  for (let at = 0; at < data.length; at++) {
    if (data[at] === 0) {
      zeros++;
      continue;
    }
    const last = runs[runs.length - 1];
    if (last && zeros < gap) last.end = at + 1;
    else runs.push({ start: at, end: at + 1 });
    zeros = 0;
  }
  // Whole words, so that a relocated word is never cut.
  return runs.map((run) => ({ start: run.start & ~3, end: Math.min((run.end + 3) & ~3, data.length) }));
}

function writeData(
  segments: readonly { start: number; end: number }[],
  memoryBase: number,
  data: Uint8Array,
  emit: (id: number, content: Writer) => number,
): void {
  if (segments.length === 0) return;
  const content = new Writer();
  content.unsigned(segments.length);
  for (const { start, end } of segments) {
    content.put(0);
    content.put(OP_I32_CONST);
    content.signed32((memoryBase + start) | 0);
    content.put(0x0b);
    content.unsigned(end - start);
    content.append(data.subarray(start, end));
  }
  emit(11, content);
}

/** Copies the name section; global names lose the relocations' and are renumbered, data segment names go. */
function copyNames(
  wasm: Uint8Array,
  cursor: WasmCursor,
  end: number,
  out: Writer,
  removedGlobals: number,
): void {
  out.name("name");
  while (cursor.at < end) {
    const id = cursor.byte();
    const size = cursor.unsigned();
    const start = cursor.at;
    cursor.at += size;
    if (id === 9) continue;
    if (id !== 7) {
      out.put(id);
      out.unsigned(size);
      out.append(wasm.subarray(start, start + size));
      continue;
    }
    const names = new WasmCursor(wasm, start);
    const kept: { index: number; name: string }[] = [];
    for (let n = names.unsigned(); n > 0; n--) {
      const index = names.unsigned();
      const name = names.name();
      if (index >= removedGlobals) kept.push({ index: index - removedGlobals, name });
    }
    const content = new Writer();
    content.unsigned(kept.length);
    for (const { index, name } of kept) {
      content.unsigned(index);
      content.name(name);
    }
    out.put(7);
    out.unsigned(content.length);
    out.append(content.finish());
  }
}
