/** How the engine is compiled where there is Node (`#compilation` of machine/package.json). */
import v8 from "node:v8";

/**
 * Runs a compilation of WebAssembly with V8's optimising compiler alone and at once. The engine is needed whole, and fast from its first
 * instruction on: left to itself V8 compiles each function twice, first in haste, and again while the first second runs.
 */
export function compileWith<T>(compile: () => T): T {
  for (const flag of ["--no-liftoff", "--no-wasm-lazy-compilation"]) v8.setFlagsFromString(flag);
  try {
    return compile();
  } finally {
    for (const flag of ["--liftoff", "--wasm-lazy-compilation"]) v8.setFlagsFromString(flag);
  }
}
