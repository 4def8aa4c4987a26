import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layOutMultiboot, MultibootError, type MultibootModule } from "./multiboot.ts";

const MB = 2 ** 20;
const HEADER_AT = 0x1000;

interface KernelShape {
  readonly physical?: number;
  readonly virtual?: number;
  readonly entry?: number;
  readonly fileSize?: number;
  readonly memorySize?: number;
  readonly flags?: number;
  readonly checksum?: number;
  readonly elfClass?: number;
  readonly machine?: number;
  readonly type?: number;
  readonly segments?: number;
}

/** An ELF kernel with one segment of 256 bytes, bent as the test wishes. */
function elfKernel(shape: KernelShape = {}): Uint8Array {
  const physical = shape.physical ?? 0x100000;
  const virtual = shape.virtual ?? physical;
  const bytes = new Uint8Array(HEADER_AT + 256);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, shape.elfClass ?? 1, 1, 1]);
  view.setUint16(16, shape.type ?? 2, true);
  view.setUint16(18, shape.machine ?? 3, true);
  view.setUint32(24, shape.entry ?? virtual + 16, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, shape.segments ?? 1, true);
  const fileSize = shape.fileSize ?? 256;
  [1, HEADER_AT, virtual, physical, fileSize, shape.memorySize ?? 512, 7, 4096].forEach((word, i) => {
    view.setUint32(52 + 4 * i, word, true);
  });
  const flags = shape.flags ?? 3;
  view.setUint32(HEADER_AT, 0x1badb002, true);
  view.setUint32(HEADER_AT + 4, flags, true);
  view.setUint32(HEADER_AT + 8, shape.checksum ?? -(0x1badb002 + flags), true);
  return bytes;
}

function layOut(
  kernel: Uint8Array,
  options: { memory?: number; modules?: MultibootModule[]; line?: string } = {},
) {
  return layOutMultiboot(kernel, {
    memory: options.memory ?? 16 * MB,
    modules: options.modules ?? [],
    commandLine: options.line ?? "",
  });
}

/** The laid-out memory as the kernel sees it. */
function memoryOf(image: ReturnType<typeof layOut>, size = 16 * MB): DataView {
  const memory = new Uint8Array(size).fill(0xcc);
  for (const { address, size: length } of image.zeroed) memory.fill(0, address, address + length);
  for (const { address, bytes } of image.pieces) memory.set(bytes, address);
  return new DataView(memory.buffer);
}

function textAt(memory: DataView, address: number): string {
  let end = address;
  while (memory.getUint8(end) !== 0) end++;
  return new TextDecoder().decode(new Uint8Array(memory.buffer, address, end - address));
}

describe("ELF kernels", () => {
  it("go to their physical addresses, zero-filled", () => {
    const image = layOut(elfKernel());
    const memory = memoryOf(image);
    expect(memory.getUint32(0x100000, true)).toBe(0x1badb002);
    expect(memory.getUint8(0x1000ff)).toBe(0);
    expect(memory.getUint8(0x100100)).toBe(0);
    expect(memory.getUint8(0x1001ff)).toBe(0);
    expect(memory.getUint8(0x100200)).toBe(0xcc);
    expect(image.entry).toBe(0x100010);
  });

  it("have their virtual entry point translated", () => {
    expect(layOut(elfKernel({ virtual: 0xc0100000 })).entry).toBe(0x100010);
  });

  it("keep an entry point that is physical already", () => {
    expect(layOut(elfKernel({ virtual: 0xc0100000, entry: 0x100020 })).entry).toBe(0x100020);
  });
});

describe("kernels with addresses in their header", () => {
  function flatKernel(fields: readonly number[], size = 256, headerAt = 64): Uint8Array {
    const bytes = new Uint8Array(size).fill(0x90);
    const view = new DataView(bytes.buffer);
    const words = [0x1badb002, 0x10000, -(0x1badb002 + 0x10000), ...fields];
    words.forEach((word, i) => {
      view.setUint32(headerAt + 4 * i, word, true);
    });
    return bytes;
  }

  it("are loaded by them", () => {
    const image = layOut(flatKernel([0x200040, 0x200000, 0x200080, 0x200200, 0x200004]));
    const memory = memoryOf(image);
    expect(memory.getUint8(0x200000)).toBe(0x90);
    expect(memory.getUint8(0x20007f)).toBe(0x90);
    expect(memory.getUint8(0x200080)).toBe(0);
    expect(memory.getUint8(0x2001ff)).toBe(0);
    expect(image.entry).toBe(0x200004);
  });

  it("are loaded to the end of the file when no end is given", () => {
    const image = layOut(flatKernel([0x200040, 0x200000, 0, 0, 0x200000]));
    expect(image.pieces[0]!.bytes.length).toBe(256);
    expect(image.zeroed).toEqual([]);
  });

  it.each([
    ["header below load address", [0x100000, 0x200000, 0, 0, 0x200000], /below its load address/],
    ["bytes before the file", [0x200080, 0x200000, 0, 0, 0x200000], /before the start of the file/],
    ["end below start", [0x200040, 0x200000, 0x1f0000, 0, 0x200000], /below load address/],
    ["more than the file has", [0x200040, 0x200000, 0x210000, 0, 0x200000], /truncated/],
    ["bss end too low", [0x200040, 0x200000, 0x200080, 0x200040, 0x200000], /bss end/],
    ["entry outside", [0x200040, 0x200000, 0x200080, 0, 0x300000], /entry point/],
  ])("are refused: %s", (_name, fields, message) => {
    expect(() => layOut(flatKernel(fields as number[]))).toThrow(message);
  });
});

describe("information structure", () => {
  const modules = [
    { commandLine: "archive", bytes: new Uint8Array(5000).fill(1) },
    { commandLine: "script", bytes: Uint8Array.of(7, 8, 9) },
  ];
  const image = layOut(elfKernel(), { modules, line: "kernel quiet" });
  const memory = memoryOf(image);
  const word = (offset: number) => memory.getUint32(image.information + offset, true);

  it("tells memory sizes, command line and loader", () => {
    expect(word(0)).toBe(0x24f);
    expect(word(4)).toBe(639);
    expect(word(8)).toBe(15 * 1024 - 128);
    expect(textAt(memory, word(16))).toBe("kernel quiet");
    expect(textAt(memory, word(64))).toBe("Rialto");
  });

  it("lists page-aligned modules after the kernel", () => {
    expect(word(20)).toBe(2);
    const entries = [0, 1].map((i) =>
      [0, 4, 8].map((field) => memory.getUint32(word(24) + 16 * i + field, true)),
    );
    expect(entries.map(([start, end]) => [start, end! - start!])).toEqual([
      [0x102000, 5000],
      [0x104000, 3],
    ]);
    expect(entries.map(([, , text]) => textAt(memory, text!))).toEqual(["archive", "script"]);
    expect(memory.getUint8(0x104002)).toBe(9);
  });

  it("maps memory without gaps in what is available", () => {
    const end = word(48) + word(44);
    const ranges: Array<[start: number, size: number, type: number]> = [];
    for (let at = word(48); at < end; at += memory.getUint32(at, true) + 4) {
      ranges.push([
        memory.getUint32(at + 4, true),
        memory.getUint32(at + 12, true),
        memory.getUint32(at + 20, true),
      ]);
    }
    expect(ranges.filter(([, , type]) => type === 1)).toEqual([
      [0, 0x9fc00, 1],
      [0x100000, 15 * MB - 0x20000, 1],
    ]);
  });
});

describe("refusals", () => {
  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /no multiboot header/],
    ["no header", new Uint8Array(9000), /no multiboot header/],
    ["a wrong checksum", elfKernel({ checksum: 1 }), /checksum/],
    ["an unknown requirement", elfKernel({ flags: 0x10 }), /0x10/],
    ["a 64-bit kernel", elfKernel({ elfClass: 2 }), /64-bit/],
    ["another machine's kernel", elfKernel({ machine: 8 }), /machine 8/],
    ["an object file", elfKernel({ type: 1 }), /type 1/],
    ["a segment past the file", elfKernel({ fileSize: 300 }), /truncated/],
    ["headers past the file", elfKernel({ segments: 5000 }), /truncated/],
    ["more bytes in the file than in memory", elfKernel({ memorySize: 100 }), /more bytes in the file/],
    ["a kernel above memory", elfKernel({ physical: 0xff0000, memorySize: 2 * MB }), /16 MB of memory/],
    ["a kernel in video memory", elfKernel({ physical: 0xb8000 }), /video memory/],
    ["an entry point nowhere", elfKernel({ entry: 0x500000 }), /entry point/],
  ])("%s", (_name, kernel, message) => {
    expect(() => layOut(kernel)).toThrow(MultibootError);
    expect(() => layOut(kernel)).toThrow(message);
  });

  it("modules that do not fit", () => {
    const modules = [{ commandLine: "", bytes: new Uint8Array(4 * MB) }];
    expect(() => layOut(elfKernel(), { memory: 4 * MB, modules })).toThrow(/has 4 MB/);
  });

  it("any damaged kernel loads or is refused, nothing else", () => {
    const good = elfKernel();
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const interesting = fc.array(fc.tuple(fc.integer({ min: 16, max: 84 }), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(damage, interesting, fc.nat(good.length), (changes, headerChanges, length) => {
        const bytes = good.slice(0, length < HEADER_AT + 12 ? good.length : length);
        for (const [at, value] of [...changes, ...headerChanges]) bytes[at] = value;
        try {
          const image = layOut(bytes);
          for (const piece of image.pieces)
            expect(piece.address + piece.bytes.length).toBeLessThanOrEqual(16 * MB);
        } catch (error) {
          if (!(error instanceof MultibootError)) throw error;
        }
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});
