/**
 * The engine's bytes in Node: compiled by AssemblyScript when sources or compiler changed, and kept under `.rialto/engine` by a hash of
 * both. A file there is a SHA-256 digest of its contents, then the module; one that is not whole counts as missing. Several processes may
 * compile at once: each writes a file of its own and renames it.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RAM } from "../layout/addresses.ts";

const DIGEST = 32;
const WASM_PAGE = 0x1_0000;
const OPTIONS = [
  ...["-O3", "--noAssert", "--runtime", "stub", "--use", "abort="],
  ...["--importMemory", "--importTable", "--initialMemory", String(RAM / WASM_PAGE)],
];

const folder = fileURLToPath(new URL("..", import.meta.url));
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();

function compilerPath(): string {
  return createRequire(import.meta.url).resolve("assemblyscript/bin/asc.js");
}

/** Names what the module is made from: compiler, options, sources. */
function sourceHash(): string {
  const manifest = join(dirname(dirname(compilerPath())), "package.json");
  const hash = createHash("sha256").update(readFileSync(manifest)).update(OPTIONS.join(" "));
  for (const place of ["", "layout"]) {
    const names = readdirSync(join(folder, place)).filter((name) => name.endsWith(".ts"));
    for (const name of names.sort())
      hash.update(`\n${name}\n`).update(readFileSync(join(folder, place, name)));
  }
  return hash.digest("hex");
}

function compile(): Uint8Array {
  const place = mkdtempSync(join(tmpdir(), "rialto-engine-"));
  const output = join(place, "engine.wasm");
  try {
    const asc = [compilerPath(), "index.ts", "--baseDir", folder, ...OPTIONS, "--outFile", output];
    execFileSync(process.execPath, asc, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    return readFileSync(output);
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { readonly stdout?: unknown; readonly stderr?: unknown };
    const cause = `${stdout}${stderr}` || String(error);
    throw new Error(`the machine's engine (${folder}) was not compiled:\n${cause}`, { cause: error });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function readKept(path: string): Uint8Array | null {
  try {
    const file = readFileSync(path);
    const bytes = file.subarray(DIGEST);
    return sha256(bytes).equals(file.subarray(0, DIGEST)) ? bytes : null;
  } catch {
    return null;
  }
}

/** Only a cache: where it cannot be written, each process compiles. */
function keep(cache: string, name: string, bytes: Uint8Array): void {
  try {
    mkdirSync(cache, { recursive: true });
    for (const old of readdirSync(cache))
      if (old.endsWith(".wasm")) rmSync(join(cache, old), { force: true });
    const own = join(cache, `${name}.${process.pid}`);
    writeFileSync(own, Buffer.concat([sha256(bytes), bytes]));
    renameSync(own, join(cache, name));
  } catch {
    // A read-only installation.
  }
}

/** Throws Error with the compiler's messages when the sources are wrong. `compiling` goes around a compilation. */
export function engineBytes(
  cache = join(folder, "..", "..", ".rialto", "engine"),
  compiling = (work: () => Uint8Array) => work(),
): Uint8Array {
  const name = `${sourceHash()}.wasm`;
  const kept = readKept(join(cache, name));
  if (kept !== null) return kept;
  const bytes = compiling(compile);
  keep(cache, name, bytes);
  return bytes;
}
