/** The engine's cache: made when missing or broken, right when several processes make it at once. */

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { engineBytes } from "./compile.ts";
import bytes from "./node.ts";

const cache = mkdtempSync(join(tmpdir(), "rialto-engine-test-"));
afterAll(() => rmSync(cache, { recursive: true }));

const isSame = (other: Uint8Array): boolean => Buffer.compare(other, bytes) === 0;
const onlyFile = (): string => {
  const names = readdirSync(cache);
  expect(names).toHaveLength(1);
  return join(cache, names[0]!);
};

describe("the engine's bytes", () => {
  it("are compiled once for several processes that start together, or by each of them, and kept whole", async () => {
    const script = `
      import { register } from "tsx/esm/api";
      register();
      const { engineBytes } = await import(${JSON.stringify(new URL("./compile.ts", import.meta.url).href)});
      process.stdout.write(String(engineBytes(${JSON.stringify(cache)}).length));`;
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    const run = () =>
      promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { cwd: root });
    const results = await Promise.all([run(), run()]);
    expect(results.map(({ stdout }) => Number(stdout))).toEqual([bytes.length, bytes.length]);
    expect(isSame(readFileSync(onlyFile()).subarray(32))).toBe(true);
  });

  it("are compiled anew when the kept file is not whole; other versions' files go", () => {
    writeFileSync(join(cache, "other.wasm"), "an older engine");
    const path = join(cache, readdirSync(cache).find((name) => name !== "other.wasm")!);
    truncateSync(path, 100);
    expect(isSame(engineBytes(cache))).toBe(true);
    expect(isSame(readFileSync(onlyFile()).subarray(32))).toBe(true);
  });
});
