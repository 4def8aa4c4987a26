/**
 * What leaves the back end besides instructions: symbols, fixups, globals, imports, line tables, variables; and the
 * intrinsics, those of user mode run in a process, the others by their bytes.
 */
import { describe, expect, it } from "vitest";
import type { CodeObject, FrontModule } from "../contract.ts";
import { compileModule } from "./compile.ts";
import { areaStart, canRunProcesses, plainFront, runInProcess } from "./testing/linux-process.ts";
import { encodeModule, signed, type TestFunction, type TestModule } from "./testing/wasm-writer.ts";

const available = canRunProcesses();
if (!available) console.log("process tests of the image are skipped: this host runs no 32-bit i386 programs");

const i32 = (value: number) => [0x41, ...signed(value | 0)];

/** Offset of a byte pattern that occurs once. */
function find(wasm: Uint8Array, pattern: readonly number[]): number {
  const places: number[] = [];
  for (let at = 0; at + pattern.length <= wasm.length; at++) {
    if (pattern.every((b, n) => wasm[at + n] === b)) places.push(at);
  }
  expect(places.length).toBe(1);
  return places[0];
}

function compile(module: TestModule, more: Partial<FrontModule> = {}): CodeObject {
  return compileModule(plainFront(encodeModule(module), more));
}

function bytesOf(code: CodeObject, name: string): number[] {
  const f = code.functions.find((g) => g.name === name)!;
  return [...code.text.subarray(f.offset, f.offset + f.size)];
}

describe("relocations", () => {
  const store = (address: number[], value: number[]) => [...address, ...value, 0x36, 2, 0];
  const functions: TestFunction[] = [
    { name: "seven", result: "i32", body: i32(7) },
    {
      name: "test",
      exported: true,
      body: [
        // Data by constant, by offset, by negated constant; a function by table index and through memory.
        ...store(i32(areaStart + 0x100), [...i32(areaStart + 0x44), 0x28, 2, 0]),
        ...store(i32(areaStart + 0x104), [...i32(4), 0x28, 2, ...[0xc4, 0x80, 0x08]]),
        ...store(i32(areaStart + 0x108), [...i32(8), ...i32(-(areaStart + 0x48)), 0x6b, 0x28, 2, 0]),
        ...store(i32(areaStart + 0x10c), [...i32(1), 0x11, 0, 0]),
        ...store(i32(areaStart + 0x110), [...i32(areaStart + 0x54), 0x28, 2, 0, 0x11, 0, 0]),
      ],
    },
  ];
  const data = new Int32Array([0x11, 0x22, 0x33, 0x44, 1]);
  const wasm = encodeModule({
    functions,
    table: [0],
    data: { address: areaStart + 0x44, bytes: new Uint8Array(data.buffer) },
  });
  const at = (pattern: number[]) => find(wasm, pattern);
  const front = plainFront(wasm, {
    codeRelocations: new Map([
      [at([...i32(areaStart + 0x44), 0x28]), { kind: "data", sign: 1 }],
      [at([0x28, 2, 0xc4, 0x80, 0x08]), { kind: "data", sign: 1 }],
      [at(i32(-(areaStart + 0x48))), { kind: "data", sign: -1 }],
      [at([...i32(1), 0x11]), { kind: "function", sign: 1 }],
      [at([...i32(areaStart + 0x54), 0x28]), { kind: "data", sign: 1 }],
    ]),
    dataRelocations: [{ offset: 0x54, kind: "function" }],
  });

  it("become fixups against data and functions", () => {
    const code = compileModule(front);
    const addends = code.textFixups.filter((f) => f.symbol === "data").map((f) => f.addend);
    expect(addends.sort((a, b) => a - b)).toEqual([0x44, 0x48, 0x50, 0x54]);
    expect(code.data!.fixups).toEqual([{ offset: 0x54, kind: "absolute32", symbol: "seven", addend: 0 }]);
  });

  it.skipIf(!available)("find data and functions in a process", () => {
    const { area } = runInProcess(compileModule(front));
    const words = new Int32Array(area!.buffer, area!.byteOffset + 0x100, 5);
    expect([...words]).toEqual([0x11, 0x22, 0x44, 7, 7]);
  });
});

describe("calls of code in data", () => {
  // `mov eax, imm32; ret`, a return of seven and then one of eight.
  const returns = (value: number) => [0xb8, value, 0, 0, 0, 0xc3];
  const data = new Uint8Array([...returns(7), ...returns(8)]);
  const callAt = (address: number[]) => [...address, 0x11, 0, 0];
  const wasm = encodeModule({
    functions: [
      {
        name: "call",
        result: "i32",
        exported: true,
        body: callAt(i32(areaStart + 0x44)),
      },
      { name: "callBehind", result: "i32", exported: true, body: callAt(i32(areaStart + 0x44 + 6)) },
      {
        name: "callAfterSum",
        result: "i32",
        exported: true,
        body: callAt([...i32(areaStart + 0x40), ...i32(10), 0x6a]),
      },
    ],
    data: { address: areaStart + 0x44, bytes: data },
  });
  const codeRelocations = new Map(
    [callAt(i32(areaStart + 0x44)), callAt(i32(areaStart + 0x4a)), i32(areaStart + 0x40)].map((place) => [
      find(wasm, place),
      { kind: "data" as const, sign: 1 as const },
    ]),
  );

  it("go to the address with its addend", () => {
    const code = compileModule(plainFront(wasm, { codeRelocations }));
    const calls = code.textFixups.filter(({ symbol }) => symbol === "data");
    expect(calls.map(({ kind, addend }) => [kind, addend])).toEqual([
      ["relative32", 0x44],
      ["relative32", 0x4a],
      ["relative32", 0x4a],
    ]);
  });
});

describe("imports", () => {
  const code = compile({
    imports: [
      { module: "library:rt", name: "allocate", parameters: ["i32"], result: "i32" },
      { module: "assembly", name: "switchTo", parameters: ["i32"] },
      { module: "library:rt", name: "unused", parameters: [] },
    ],
    functions: [{ name: "main", exported: true, body: [...i32(5), 0x10, 0, 0x10, 1] }],
  });

  it("of a library are calls through its slot", () => {
    expect(code.imports.map(({ library, name }) => ({ library, name }))).toEqual([
      { library: "rt", name: "allocate" },
    ]);
    const slot = code.textFixups.find((f) => f.symbol === "import:rt!allocate")!;
    expect(slot.kind).toBe("absolute32");
    expect([...code.text.subarray(slot.offset - 2, slot.offset)]).toEqual([0xff, 0x15]);
  });

  it("of the image's assembly are plain calls", () => {
    const call = code.textFixups.find((f) => f.symbol === "switchTo")!;
    expect(call.kind).toBe("relative32");
    expect(code.text[call.offset - 1]).toBe(0xe8);
  });
});

describe("functions", () => {
  const wasm = encodeModule({
    functions: [
      {
        name: "a/caller",
        exported: true,
        parameters: ["i32"],
        result: "i32",
        body: [0x20, 0, 0x10, 1, 0x20, 0, 0x6a],
      },
      { name: "a/leaf", parameters: ["i32"], result: "i32", body: [0x20, 0, ...i32(3), 0x6c] },
    ],
  });
  const start = find(wasm, [0x20, 0, 0x10]);
  const code = compileModule(
    plainFront(wasm, {
      sourceAt: (offset) =>
        offset >= start && offset < start + 4
          ? { file: "a.ts", line: 10 + (offset >= start + 2 ? 1 : 0), column: 1 }
          : { file: "a.ts", line: 20, column: 1 },
    }),
  );

  it("have names, exports, ranges and frames", () => {
    const [caller, leaf] = code.functions;
    expect(caller).toMatchObject({ name: "a/caller", exports: ["a/caller"], framed: true, offset: 0 });
    expect(leaf).toMatchObject({ name: "a/leaf", exports: [], framed: false });
    expect(leaf.offset % 16).toBe(0);
    expect(bytesOf(code, "a/caller").slice(0, 3)).toEqual([0x55, 0x89, 0xe5]);
    expect(bytesOf(code, "a/leaf").at(-1)).toBe(0xc3);
  });

  it("have ascending line tables that start at 0", () => {
    for (const f of code.functions) {
      const offsets = f.lines.map((line) => line.offset);
      expect(offsets[0]).toBe(0);
      expect(offsets).toEqual(offsets.slice().sort((a, b) => a - b));
      expect(offsets.every((offset) => offset < f.size)).toBe(true);
    }
    expect(code.functions[0].lines.map((line) => line.position.line)).toContain(11);
  });
});

describe("intrinsics", () => {
  const signature = (name: string, parameters: number, result: boolean) => ({
    module: "intrinsic",
    name,
    parameters: Array.from({ length: parameters }, () => "i32" as const),
    ...(result ? { result: "i32" as const } : {}),
  });

  /** The body of a function that only expands the intrinsic, without the final return. */
  function expansion(name: string, operands: number[], parameters: number, result: boolean): number[] {
    const code = compile({
      imports: [signature(name, parameters, result)],
      functions: [
        {
          name: "main",
          exported: true,
          ...(result ? { result: "i32" as const } : {}),
          body: [...operands, 0x10, 0],
        },
      ],
    });
    return bytesOf(code, "main").slice(0, -1);
  }

  it.each<[string, number[], number, boolean, number[]]>([
    ["portIn8", i32(0x60), 1, true, [0xe4, 0x60, 0x0f, 0xb6, 0xc0]],
    ["portIn32", i32(0xcfc), 1, true, [0xba, 0xfc, 0x0c, 0, 0, 0xed]],
    ["portOut8", [...i32(0x21), ...i32(255)], 2, false, [0xb8, 0xff, 0, 0, 0, 0xe6, 0x21]],
    ["portOut16", [...i32(0x3d4), ...i32(1)], 2, false, [0xb8, 1, 0, 0, 0, 0xba, 0xd4, 3, 0, 0, 0x66, 0xef]],
    ["disableInterrupts", [], 0, false, [0xfa]],
    ["enableInterrupts", [], 0, false, [0xfb]],
    ["halt", [], 0, false, [0xf4]],
    ["readControl2", [], 0, true, [0x0f, 0x20, 0xd0]],
    ["writeControl3", i32(0x1000), 1, false, [0xb8, 0, 0x10, 0, 0, 0x0f, 0x22, 0xd8]],
    ["invalidatePage", i32(0x1000), 1, false, [0x0f, 0x01, 0x3d, 0, 0x10, 0, 0]],
    ["volatileLoad8", i32(0x1000), 1, true, [0x31, 0xc0, 0xa0, 0, 0x10, 0, 0]],
  ])("%s", (name, operands, parameters, result, bytes) => {
    expect(expansion(name, operands, parameters, result)).toEqual(bytes);
  });

  it("volatile loads are neither merged nor dropped", () => {
    const load = [...i32(0x1000), 0x10, 0, 0x1a];
    const code = compile({
      imports: [signature("volatileLoad32", 1, true)],
      functions: [{ name: "main", exported: true, body: [...load, ...load] }],
    });
    expect(bytesOf(code, "main")).toEqual([0xa1, 0, 0x10, 0, 0, 0xa1, 0, 0x10, 0, 0, 0xc3]);
  });

  it.skipIf(!available)("of user mode do what they say", () => {
    const names: Array<[string, number, boolean]> = [
      ["stackAlloc", 1, true],
      ["atomicExchange", 2, true],
      ["atomicCompareExchange", 3, true],
      ["atomicAdd", 2, true],
      ["codeSegment", 0, true],
      ["stackPointer", 0, true],
      ["framePointer", 0, true],
      ["readFlags", 0, true],
      ["writeFlags", 1, false],
    ];
    const call = (name: string) => [0x10, names.findIndex(([n]) => n === name)];
    let next = 0;
    const keep = (value: number[]) => [...i32(areaStart + 4 * next++), ...value, 0x36, 2, 0];
    const cell = i32(areaStart + 0x200);
    // Local 0 holds a stack block; it is filled so that the guard page would be hit if its pages were skipped.
    const allocate = (size: number[]) => [...size, ...call("stackAlloc"), 0x21, 0];
    const fill = (size: number) => [0x20, 0, ...i32(0x5a), ...i32(size), 0xfc, 11, 0];
    const body = [
      ...keep([...cell, ...i32(5), ...call("atomicExchange")]),
      ...keep([...cell, ...i32(4), ...i32(9), ...call("atomicCompareExchange")]),
      ...keep([...cell, ...i32(5), ...i32(9), ...call("atomicCompareExchange")]),
      ...keep([...cell, ...i32(-2), ...call("atomicAdd")]),
      // Whose result nobody wants.
      ...[...cell, ...i32(3), ...call("atomicAdd"), 0x1a],
      ...keep([...cell, 0x28, 2, 0]),
      ...keep([...call("codeSegment"), ...i32(3), 0x71]),
      ...allocate(i32(100)),
      ...fill(100),
      ...keep([0x20, 0, ...i32(15), 0x71]),
      ...keep([0x20, 0, ...call("stackPointer"), 0x46]),
      ...allocate([...cell, 0x28, 2, 0, ...i32(100000), 0x6a]),
      ...fill(100000),
      ...keep([0x20, 0, ...i32(15), 0x71]),
      ...keep([...call("framePointer"), ...call("stackPointer"), 0x6b, ...i32(100000), 0x4b]),
      ...call("readFlags"),
      ...i32(1),
      0x72,
      ...call("writeFlags"),
      ...keep([...call("readFlags"), ...i32(1), 0x71]),
    ];
    const code = compile({
      imports: names.map(([name, parameters, result]) => signature(name, parameters, result)),
      functions: [{ name: "test", exported: true, locals: ["i32"], body }],
    });
    const { area, signal } = runInProcess(code);
    expect(signal).toBeUndefined();
    const words = new Int32Array(area!.buffer, area!.byteOffset, next);
    expect([...words]).toEqual([0, 5, 5, 9, 10, 3, 0, 1, 0, 1, 1]);
  });
});
