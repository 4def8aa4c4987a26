/** No wasm binary makes the back end do anything but succeed or throw a `BuildError` that names the file. */
import { describe, expect, it } from "vitest";
import { BuildError, type FrontModule } from "../../contract.ts";
import { compileModule } from "../compile.ts";
import { generator } from "../testing/boundary-values.ts";
import { areaStart, plainFront } from "../testing/linux-process.ts";
import { encodeModule, signed } from "../testing/wasm-writer.ts";
import { ByteReader } from "./reader.ts";

const sample = encodeModule({
  imports: [{ module: "library:rt", name: "allocate", parameters: ["i32"], result: "i32" }],
  functions: [
    {
      name: "test",
      exported: true,
      parameters: ["i32", "f64"],
      result: "i64",
      locals: ["i64", "f32"],
      body: [
        ...[0x02, 0x40, 0x03, 0x40, 0x20, 0, 0x45, 0x0d, 1, 0x20, 0, 0x41, 1, 0x6b, 0x21, 0],
        ...[0x20, 0, 0x0e, 2, 0, 1, 0, 0x0b, 0x0b],
        ...[0x20, 0, 0x10, 0, 0x28, 2, 4, 0x1a],
        ...[0x20, 1, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xa2, 0xb0, 0x22, 2],
        ...[0x20, 0, 0x04, 0x7e, 0x42, ...signed(-5), 0x05, 0x42, 7, 0x0b, 0x7c],
      ],
    },
    { name: "other", body: [0x41, 1, 0x41, 2, 0x41, 3, 0xfc, 11, 0, 0x00] },
  ],
  table: [1, 2],
  data: { address: areaStart, bytes: Uint8Array.of(1, 2, 3, 4) },
});

function outcome(wasm: Uint8Array, more: Partial<FrontModule> = {}): Error | undefined {
  try {
    compileModule(plainFront(wasm, more));
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function sectionEnds(wasm: Uint8Array): Set<number> {
  const ends = new Set([8]);
  const reader = new ByteReader(wasm, "sample", 8);
  while (reader.offset < wasm.length) {
    reader.byte();
    reader.take(reader.unsigned());
    ends.add(reader.offset);
  }
  return ends;
}

describe("malformed wasm", () => {
  it("compiles the sample itself", () => {
    expect(outcome(sample)).toBeUndefined();
  });

  it("is refused wherever it is cut", () => {
    const ends = sectionEnds(sample);
    expect(ends.has(sample.length)).toBe(true);
    for (let length = 0; length < sample.length; length++) {
      // Between two sections a module may end; unless function bodies are missing, it is a module.
      if (ends.has(length)) continue;
      expect(outcome(sample.slice(0, length)), `cut at ${length}`).toBeInstanceOf(BuildError);
    }
  });

  it("never does worse than an error when bytes change", () => {
    const random = generator(77);
    let refused = 0;
    for (let round = 0; round < 4000; round++) {
      const wasm = sample.slice();
      for (let changes = 1 + (random() % 3); changes > 0; changes--) {
        wasm[8 + (random() % (wasm.length - 8))] = random() & 0xff;
      }
      const error = outcome(wasm);
      if (!error) continue;
      refused++;
      expect(error, `${error.stack}`).toBeInstanceOf(BuildError);
      expect(error.cause, `${error.stack} ${(error.cause as Error | undefined)?.stack}`).toBeUndefined();
    }
    expect(refused).toBeGreaterThan(1000);
  });

  it("is reported with file, function and source line", () => {
    const wasm = encodeModule({ functions: [{ name: "os/apps/bad/main", body: [0x3f, 0, 0x1a] }] });
    const position = { file: "os/apps/bad/main.ts", line: 12, column: 3 };
    const error = outcome(wasm, { sourceAt: () => position }) as BuildError;
    expect(error).toBeInstanceOf(BuildError);
    expect(error.message).toMatch(/^os\/apps\/bad\/main\.ts:12:3: .*memory\.size.*os\/apps\/bad\/main/);
    expect(error.symbol).toBe("os/apps/bad/main");
    expect(error.position).toEqual(position);
  });

  it.each([
    ["an import from nowhere", "env", "abort", /"abort".*"env"/],
    ["an unknown intrinsic", "intrinsic", "levitate", /"levitate" is no intrinsic/],
    [
      "an intrinsic with other operands",
      "intrinsic",
      "portIn8",
      /"portIn8" is declared with another signature/,
    ],
  ])("refuses %s", (_, module, name, message) => {
    const wasm = encodeModule({
      imports: [{ module, name, parameters: [] }],
      functions: [{ name: "main", body: [0x10, 0] }],
    });
    const error = outcome(wasm);
    expect(error).toBeInstanceOf(BuildError);
    expect(error!.message).toMatch(message);
  });
});
