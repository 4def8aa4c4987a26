/**
 * For the tests: the same cases on this unit and on the host's processor, and where they differ.
 *
 * Masked in the comparison, because processors differ there and none contradicts the manual: the pointers to the last
 * instruction and operand (AMD keeps them only while an exception is pending).
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FloatingPointUnit } from "../contract.ts";
import { Path } from "../double-path.ts";
import { ImageMemory } from "../environment.ts";
import { createFloatingPointUnit } from "../unit.ts";

export interface Case {
  /** Instructions in order: opcode byte and ModR/M, perhaps after 0x66 (16-bit operands); memory forms use [esi]. */
  readonly code: readonly (readonly number[])[];
  readonly image: Uint8Array;
  readonly operand: Uint8Array;
}

export interface Result {
  readonly image: Uint8Array;
  readonly operand: Uint8Array;
  readonly ax: number;
}

const codeSize = 64;
const imageSize = 108;
const operandSize = 128;

/** The compiled program, or why there is none. */
export function buildHost(): { run: (cases: readonly Case[]) => Result[]; dispose: () => void } | string {
  if (arch() !== "x64" && arch() !== "ia32") return "the host is not an x86";
  const folder = mkdtempSync(join(tmpdir(), "rialto-x87-"));
  const program = join(folder, "processor");
  const source = fileURLToPath(new URL("processor.c", import.meta.url));
  spawnSync("gcc", ["-m32", "-O1", "-o", program, source]);
  const dispose = () => rmSync(folder, { recursive: true, force: true });
  if (!existsSync(program)) {
    dispose();
    return "gcc -m32 is missing";
  }
  const run = (cases: readonly Case[]) => {
    const size = codeSize + imageSize + operandSize;
    const input = new Uint8Array(cases.length * size).fill(0x90);
    cases.forEach((one, index) => {
      const base = index * size;
      input.set(one.code.flat(), base);
      input.set(one.image, base + codeSize);
      input.set(one.operand, base + codeSize + imageSize);
    });
    const { stdout, status, signal } = spawnSync(program, { input, maxBuffer: 1 << 30 });
    const resultSize = imageSize + operandSize + 4;
    if (status !== 0 || stdout.length !== cases.length * resultSize)
      throw new Error(
        `the host program ended with ${signal ?? status} after ${stdout.length / resultSize} of ${cases.length} cases`,
      );
    return cases.map((_, index) => {
      const base = index * resultSize;
      return {
        image: new Uint8Array(stdout.subarray(base, base + imageSize)),
        operand: new Uint8Array(stdout.subarray(base + imageSize, base + imageSize + operandSize)),
        ax: stdout.readUInt16LE(base + imageSize + operandSize),
      };
    });
  };
  return { run, dispose };
}

const units = new Map<Path, FloatingPointUnit>();

export function runHere(one: Case, path: Path = Path.fast): Result {
  let unit = units.get(path);
  if (unit === undefined) {
    unit = createFloatingPointUnit(path);
    units.set(path, unit);
  }
  const operand = one.operand.slice();
  const memory = new ImageMemory(operand);
  let ax = 0;
  const host = {
    instructionPointer: 0,
    codeSelector: 0,
    operandSize16: false,
    setAx: (value: number) => {
      ax = value;
    },
  };
  unit.restore(one.image);
  for (const bytes of one.code) {
    const [opcode, modrm] = bytes.slice(-2);
    host.operandSize16 = bytes[0] === 0x66;
    if (unit.execute(opcode - 0xd8, modrm, memory, host, 0, 0) < 0)
      throw new Error(`${opcode.toString(16)} ${modrm.toString(16)} is undefined`);
  }
  return { image: unit.save(), operand, ax };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .reverse()
    .join("");
}

/** Control, status and tag words, then ST(0) to ST(7), as text. */
export function describeImage(image: Uint8Array): string {
  const words = [hex(image.subarray(0, 2)), hex(image.subarray(4, 6)), hex(image.subarray(8, 10))];
  for (let i = 0; i < 8; i++) {
    const text = hex(image.subarray(28 + 10 * i, 38 + 10 * i));
    words.push(`${text.slice(0, 4)}:${text.slice(4)}`);
  }
  return words.join(" ");
}

/** Everything compared, as one line a part; equal strings mean equal results. `statusMask` keeps bits of the status word. */
export function describe(result: Result, statusMask = 0xffff): string {
  const image = result.image.slice();
  image[4] &= statusMask;
  image[5] &= statusMask >>> 8;
  return `${describeImage(image)} mem ${hex(result.operand.subarray(0, 16))} ax ${(result.ax & statusMask).toString(16)}`;
}

/** Unequal cases of one of our paths and the host's results, described, at most `limit`. */
export function differences(
  cases: readonly Case[],
  theirs: readonly Result[],
  path: Path,
  statusMask = 0xffff,
  limit = 5,
): string[] {
  const found: string[] = [];
  for (let index = 0; index < cases.length && found.length < limit; index++) {
    const one = cases[index];
    const result = runHere(one, path);
    const ours = describe(result, statusMask);
    const other = describe(theirs[index], statusMask);
    if (ours !== other) {
      const code = one.code.map((bytes) => hex(Uint8Array.from(bytes).reverse())).join(" ");
      found.push(
        `${code}\n from ${describeImage(one.image)} mem ${hex(one.operand.subarray(0, 16))}\n ours ${ours}\n host ${other}`,
      );
    }
  }
  return found;
}
