/** What the front's tests share: sources in memory over the repository's own interfaces, and a run of the wasm in Node. */

import { existsSync, readFileSync } from "node:fs";
import { BuildError, type FrontModule } from "../contract.ts";
import { compileImage, type ImageSource } from "./compile.ts";
import { memoryExport } from "./optimise.ts";

/** The part of WebAssembly's interface that the tests use; Node's typings leave it to the DOM's. */
interface WasmApi {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<{ readonly exports: Record<string, unknown> }>;
  readonly Module: {
    imports(module: object): { readonly module: string; readonly name: string; readonly kind: string }[];
    exports(module: object): { readonly name: string; readonly kind: string }[];
  };
}

interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export const wasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

export const repository = new URL("../../../", import.meta.url).pathname;

export function readRepositoryFile(path: string): string | undefined {
  return existsSync(repository + path) ? readFileSync(repository + path, "utf8") : undefined;
}

/** Files of the test, over os/ambient.d.ts and os/interfaces of the repository. */
export function sourcesOver(files: Readonly<Record<string, string>>): (path: string) => string | undefined {
  return (path) => {
    if (Object.hasOwn(files, path)) return files[path];
    return path === "os/ambient.d.ts" || path.startsWith("os/interfaces/")
      ? readRepositoryFile(path)
      : undefined;
  };
}

/** A heap as a library of the test would have it: bump allocation. */
export const testHeap = `
let next: usize = 0x80000;
export let allocations: u32 = 0;
export let frees: u32 = 0;
export function allocate(size: usize): usize { const at = next; next += (size + 15) & ~15; allocations++; return at; }
export function free(address: usize): void { frees++; }
export function balance(): u32 { return allocations - frees; }
`;

/** Compiles \`main\` as a kernel image, so that everything is in one module and all exports of the file are its exports. */
export function compileKernel(
  main: string,
  files: Readonly<Record<string, string>> = {},
  options: Partial<ImageSource> = {},
): Promise<FrontModule> {
  return compileImage({
    name: "kernel",
    kind: "kernel",
    entries: ["os/kernel/main.ts"],
    readFile: sourcesOver({ "os/kernel/memory/heap.ts": testHeap, "os/kernel/main.ts": main, ...files }),
    ...options,
  });
}

export type GuestFunction = (...values: (number | bigint)[]) => number;

export interface RunningGuest {
  readonly exports: Readonly<Record<string, GuestFunction>>;
  readonly memory: DataView;
  textAt(address: number): string;
}

/** Runs a module in Node. Ring, stack and atomic intrinsics are imitated; other imports come from the test. */
export async function runGuest(
  module: FrontModule,
  imports: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Promise<RunningGuest> {
  let memory: WasmMemory | undefined;
  const view = (): DataView => new DataView(memory!.buffer);
  let stack = 0x70000;
  const intrinsic = {
    stackAlloc: (size: number) => {
      stack -= (size + 15) & ~15;
      return stack;
    },
    atomicAdd: (address: number, value: number) => {
      const before = view().getUint32(address, true);
      view().setUint32(address, before + value, true);
      return before;
    },
    ...imports.intrinsic,
  };
  const instance = await wasmApi.instantiate(await wasmApi.compile(module.wasm), { ...imports, intrinsic });
  memory = instance.exports[memoryExport] as WasmMemory;
  memory.grow(32); // heap and stack of the tests
  return {
    exports: instance.exports as unknown as Record<string, GuestFunction>,
    get memory() {
      return view();
    },
    textAt(address) {
      const bytes = new Uint8Array(memory!.buffer);
      return new TextDecoder().decode(bytes.subarray(address, bytes.indexOf(0, address)));
    },
  };
}

/** The message of the BuildError that `work` ends with. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BuildError) return error.message;
    throw error;
  }
  throw new Error("it compiled");
}
