/** The engine's bytes, where there is Node (`#engine` of machine/package.json). */
import { engineBytes } from "./compile.ts";

/** The compilation takes seconds: on a terminal a line says so while it lasts. */
function announced(compile: () => Uint8Array): Uint8Array {
  if (process.stderr.isTTY !== true) return compile();
  process.stderr.write("building the machine's engine");
  try {
    return compile();
  } finally {
    process.stderr.write("\r\x1b[K");
  }
}

export default engineBytes(undefined, announced);
