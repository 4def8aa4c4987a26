/**
 * The part of the host's WebAssembly object that the machine uses; Node and browsers have it alike, and the project's type library
 * has no browser types.
 */

import type { LinearMemory } from "../../contract.ts";

export interface FunctionTable {
  readonly length: number;
  grow(by: number): void;
}

export interface WebAssemblyHost {
  readonly Memory: new (limits: { initial: number; maximum: number }) => LinearMemory;
  readonly Table: new (limits: { element: "anyfunc"; initial: number }) => FunctionTable;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly validate: (bytes: Uint8Array) => boolean;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

export const webAssembly: WebAssemblyHost = (globalThis as unknown as { WebAssembly: WebAssemblyHost })
  .WebAssembly;

/** A module with one function that calls itself in tail position. */
const tailCall = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 4, 1, 0x60, 0, 0],
  ...[3, 2, 1, 0],
  ...[10, 6, 1, 4, 0, 0x12, 0, 0x0b],
);

export function supportsTailCalls(host: WebAssemblyHost): boolean {
  return host.validate(tailCall);
}
