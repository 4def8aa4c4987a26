/** AssemblyScript source to wasm for tests of the back end alone, without the front's transform. */
import asc from "assemblyscript/asc";
import { areaSize, areaStart } from "./linux-process.ts";

/** Static data goes to the upper half of the shared area; programs use the lower half as they like. */
export const dataStart = areaStart + areaSize / 2;

export async function compileSource(source: string, optimizeLevel: 0 | 1 | 2 | 3): Promise<Uint8Array> {
  const options = {
    optimizeLevel,
    runtime: "stub",
    debug: true,
    memoryBase: dataStart,
    initialMemory: 16,
    // A failed assertion of AssemblyScript becomes `unreachable`.
    use: ["abort="],
    enable: ["sign-extension", "nontrapping-f2i", "bulk-memory"],
  };
  const { error, binary, stderr } = await asc.compileString(source, options as never);
  if (error || !binary) throw new Error(`asc: ${stderr.toString()}`, { cause: error });
  return binary;
}
