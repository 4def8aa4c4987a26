/**
 * The part of the host's WebAssembly object that the machine uses; Node and browsers have it alike, and the project's type library
 * has no browser types.
 */

export interface LinearMemory {
  readonly buffer: ArrayBuffer;
}

export type CompiledFunction = () => number;

export interface WebAssemblyHost {
  readonly Memory: new (limits: { initial: number; maximum: number }) => LinearMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

const PAGE = 0x1_0000;
const MOST_PAGES = 0x1_0000;

export const webAssembly: WebAssemblyHost | undefined = (
  globalThis as unknown as { WebAssembly?: WebAssemblyHost }
).WebAssembly;

/** Memory of at least so many bytes that compiled code can address; null where the host has none. */
export function allocateLinearMemory(bytes: number): LinearMemory | null {
  const pages = Math.ceil(bytes / PAGE);
  if (webAssembly === undefined || pages > MOST_PAGES) return null;
  return new webAssembly.Memory({ initial: pages, maximum: pages });
}
