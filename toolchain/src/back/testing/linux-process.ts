/**
 * Runs compiled code on the host's processor: a static 32-bit Linux program whose memory holds a shared area at the same
 * address as in a wasm instance. The program sets the x87 control word, calls the function exported as "test", writes
 * the area to its standard output, and exits. Test support: uses Node.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dword, eax, ebx, ecx, edx, esp, symbol, word } from "@rialto/machine/i386/assembly.ts";
import type { CodeObject, Fixup, FrontModule } from "../../contract.ts";

/** Addresses of the shared area, valid in the wasm memory (16 pages) and above Linux's lowest mapping. */
export const areaStart = 0x20000;
export const areaSize = 0xc0000;

const textAddress = 0x08048000;
const globalsAddress = 0x0a000000;
const pageSize = 4096;

/** A front's module around a wasm binary without relocations. */
export function plainFront(wasm: Uint8Array, more: Partial<FrontModule> = {}): FrontModule {
  return {
    name: "test",
    wasm,
    memoryBase: areaStart,
    dataEnd: areaStart,
    tableBase: 1,
    codeRelocations: new Map(),
    dataRelocations: [],
    sourceAt: () => undefined,
    ...more,
  };
}

function linkForLinux(code: CodeObject, dataAddress: number): Uint8Array {
  const a = new Assembler();
  a.label("_start");
  a.emit("mov", dword({ base: esp, displacement: -4 }), 0x027f);
  a.emit("fninit");
  a.emit("fldcw", word({ base: esp, displacement: -4 }));
  if (code.start) a.emit("call", symbol(code.start));
  a.emit("call", symbol("test"));
  a.emit("mov", eax, 4);
  a.emit("mov", ebx, 1);
  a.emit("mov", ecx, areaStart);
  a.emit("mov", edx, areaSize);
  a.emit("int", 0x80);
  a.emit("mov", eax, 1);
  a.emit("xor", ebx, ebx);
  a.emit("int", 0x80);
  const stub = a.finish();
  const stubSize = (stub.text.length + 15) & ~15;

  const symbols = new Map<string, number>([["data", dataAddress]]);
  for (const f of code.functions) {
    for (const name of [f.name, ...f.exports]) symbols.set(name, textAddress + stubSize + f.offset);
  }
  let globalOffset = 0;
  const globals = new Uint8Array(pageSize);
  const globalFixups: Fixup[] = [];
  for (const g of code.globals) {
    symbols.set(`global:${g.name}`, globalsAddress + globalOffset);
    globals.set(g.initial, globalOffset);
    if (g.fixup) globalFixups.push({ ...g.fixup, offset: globalOffset });
    globalOffset += 8;
  }
  const text = new Uint8Array(stubSize + code.text.length);
  text.set(stub.text);
  text.set(code.text, stubSize);
  const area = new Uint8Array(areaSize);
  if (code.data) area.set(code.data.bytes, dataAddress - areaStart);

  const apply = (bytes: Uint8Array, base: number, fixups: readonly Fixup[], shift: number) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (const fixup of fixups) {
      const target = symbols.get(fixup.symbol);
      if (target === undefined) throw new Error(`no symbol ${fixup.symbol}`);
      const place = fixup.offset + shift;
      const value =
        fixup.kind === "absolute32" ? target + fixup.addend : target + fixup.addend - (base + place + 4);
      view.setInt32(place, value | 0, true);
    }
  };
  apply(text, textAddress, stub.fixups, 0);
  apply(text, textAddress, code.textFixups, stubSize);
  apply(globals, globalsAddress, globalFixups, 0);
  apply(area, areaStart, code.data?.fixups ?? [], dataAddress - areaStart);

  const segments = [
    { address: textAddress, bytes: text, flags: 5 },
    { address: globalsAddress, bytes: globals, flags: 6 },
    { address: areaStart, bytes: area, flags: 6 },
  ];
  let offset = pageSize;
  const places = segments.map((s) => {
    const at = offset;
    offset += (s.bytes.length + pageSize - 1) & -pageSize;
    return at;
  });
  const file = new Uint8Array(offset);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, 3, true); // i386
  view.setUint32(20, 1, true);
  view.setUint32(24, textAddress, true);
  view.setUint32(28, 52, true);
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, segments.length, true);
  segments.forEach((s, n) => {
    const header = 52 + 32 * n;
    const fields = [1, places[n], s.address, s.address, s.bytes.length, s.bytes.length, s.flags, pageSize];
    for (const [k, value] of fields.entries()) view.setUint32(header + 4 * k, value, true);
    file.set(s.bytes, places[n]);
  });
  return file;
}

export interface ProcessResult {
  /** The shared area after the run; absent when a signal ended the program. */
  readonly area: Uint8Array | undefined;
  readonly signal: string | undefined;
}

/** `dataAddress`: the memory base of the module, inside the shared area. */
export function runInProcess(code: CodeObject, dataAddress = areaStart): ProcessResult {
  const directory = mkdtempSync(join(tmpdir(), "rialto-back-"));
  try {
    const path = join(directory, "program");
    writeFileSync(path, linkForLinux(code, dataAddress));
    chmodSync(path, 0o755);
    const run = spawnSync(path, [], { maxBuffer: areaSize + pageSize, timeout: 10000 });
    if (run.error) throw run.error;
    if (run.signal) return { area: undefined, signal: run.signal };
    if (run.status !== 0 || run.stdout.length !== areaSize)
      throw new Error(`program ended with ${run.status}`);
    return { area: new Uint8Array(run.stdout), signal: undefined };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Whether this host runs 32-bit i386 programs. */
export function canRunProcesses(): boolean {
  return process.platform === "linux" && (process.arch === "x64" || process.arch === "ia32");
}

/** The part of the host's WebAssembly object that is used here; the project's type library has no browser types. */
interface WebAssemblyHost {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
  readonly RuntimeError: new () => Error;
}
const webAssembly = (globalThis as unknown as { WebAssembly: WebAssemblyHost }).WebAssembly;

/** The same call in Node's wasm: the area afterwards, or undefined when it trapped. */
export function runInWasm(wasm: Uint8Array, imports: object = {}): Uint8Array | undefined {
  const instance = new webAssembly.Instance(new webAssembly.Module(wasm), imports);
  try {
    (instance.exports.test as () => void)();
  } catch (error) {
    if (error instanceof webAssembly.RuntimeError) return undefined;
    throw error;
  }
  const memory = instance.exports.memory as { readonly buffer: ArrayBuffer };
  return new Uint8Array(memory.buffer).slice(areaStart, areaStart + areaSize);
}
