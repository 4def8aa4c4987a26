import fc from "fast-check";
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import { describe, expect, it } from "vitest";
import { Assembler } from "./assembler.ts";
import * as asm from "./assembly.ts";
import { AssemblyError } from "./assembly-error.ts";

const { al, ax, bp, bx, cl, dx, eax, ebp, ebx, ecx, edi, edx, es, esi, esp, si } = asm;

function encode(build: (a: Assembler) => void): string {
  const a = new Assembler();
  build(a);
  return Buffer.from(a.finish().text).toString("hex");
}

function decode(bytes: Uint8Array): string[] {
  const decoder = new Decoder(32, bytes, DecoderOptions.None);
  decoder.ip = 0n;
  const formatter = new Formatter(FormatterSyntax.Intel);
  const lines: string[] = [];
  while (decoder.canDecode) lines.push(formatter.format(decoder.decode()));
  decoder.free();
  return lines;
}

describe("encodings", () => {
  const cases: [string, (a: Assembler) => void][] = [
    ["8b442408", (a) => a.emit("mov", eax, asm.dword({ base: esp, displacement: 8 }))],
    ["8b4500", (a) => a.emit("mov", eax, asm.dword({ base: ebp }))],
    ["8b0424", (a) => a.emit("mov", eax, asm.dword({ base: esp }))],
    ["8b048d00000000", (a) => a.emit("mov", eax, asm.dword({ index: ecx, scale: 4 }))],
    ["8b0409", (a) => a.emit("mov", eax, asm.dword({ index: ecx, scale: 2 }))],
    ["8b01", (a) => a.emit("mov", eax, asm.dword({ index: ecx }))],
    ["8b046d00000000", (a) => a.emit("mov", eax, asm.dword({ index: ebp, scale: 2 }))],
    [
      "8b8480c8000000",
      (a) => a.emit("mov", eax, asm.dword({ base: eax, index: eax, scale: 4, displacement: 200 })),
    ],
    ["a178563412", (a) => a.emit("mov", eax, asm.dword({ displacement: 0x12345678 }))],
    ["8b0d78563412", (a) => a.emit("mov", ecx, asm.dword({ displacement: 0x12345678 }))],
    ["64a100000000", (a) => a.emit("mov", eax, asm.dword({ segment: asm.fs, displacement: 0 }))],
    ["3e8b4500", (a) => a.emit("mov", eax, asm.dword({ base: ebp, segment: asm.ds }))],
    ["678b40fe", (a) => a.emit("mov", eax, asm.dword({ base: bx, index: si, displacement: -2 }))],
    ["668b4500", (a) => a.emit("mov", ax, asm.word({ base: ebp }))],
    ["83c0ff", (a) => a.emit("add", eax, -1)],
    ["83c0ff", (a) => a.emit("add", eax, 0xffffffff)],
    ["6605ffff", (a) => a.emit("add", ax, 0xffff)],
    ["6683c1ff", (a) => a.emit("add", asm.cx, 0xffff)],
    ["0580000000", (a) => a.emit("add", eax, 128)],
    ["81c180000000", (a) => a.emit("add", ecx, 128)],
    ["04ff", (a) => a.emit("add", al, 255)],
    ["6aff", (a) => a.emit("push", -1)],
    ["6880000000", (a) => a.emit("push", 128)],
    ["d1e0", (a) => a.emit("shl", eax, 1)],
    ["c1e004", (a) => a.emit("sal", eax, 4)],
    ["d3e0", (a) => a.emit("shl", eax, cl)],
    ["ec", (a) => a.emit("in", al, dx)],
    ["e660", (a) => a.emit("out", 0x60, al)],
    ["91", (a) => a.emit("xchg", eax, ecx)],
    ["91", (a) => a.emit("xchg", ecx, eax)],
    ["870b", (a) => a.emit("xchg", ecx, asm.dword({ base: ebx }))],
    ["850b", (a) => a.emit("test", ecx, asm.dword({ base: ebx }))],
    ["f3a5", (a) => a.emitPrefixed("rep", "movsd")],
    ["f366a5", (a) => a.emitPrefixed("rep", "movsw")],
    ["f0ff00", (a) => a.emitPrefixed("lock", "inc", asm.dword({ base: eax }))],
    ["f00fc108", (a) => a.emitPrefixed("lock", "xadd", asm.dword({ base: eax }), ecx)],
    ["8ed8", (a) => a.emit("mov", asm.ds, ax)],
    ["8ed8", (a) => a.emit("mov", asm.ds, eax)],
    ["8cd8", (a) => a.emit("mov", eax, asm.ds)],
    ["0f20d8", (a) => a.emit("mov", eax, asm.cr3)],
    ["0f22d8", (a) => a.emit("mov", asm.cr3, eax)],
    ["06", (a) => a.emit("push", es)],
    ["cf", (a) => a.emit("iret")],
    ["60", (a) => a.emit("pusha")],
    ["6660", (a) => a.emit("pushaw")],
    ["ca0800", (a) => a.emit("retf", 8)],
    ["ea341200000800", (a) => a.emit("jmp", asm.far(8, 0x1234))],
    ["ff2d00100000", (a) => a.emit("jmp", asm.fword({ displacement: 0x1000 }))],
    ["0f011500100000", (a) => a.emit("lgdt", asm.fword({ displacement: 0x1000 }))],
    ["d8c1", (a) => a.emit("fadd", asm.stackRegisters[0]!, asm.stackRegisters[1]!)],
    ["dcc1", (a) => a.emit("fadd", asm.stackRegisters[1]!, asm.stackRegisters[0]!)],
    ["dec1", (a) => a.emit("faddp")],
    ["d9c9", (a) => a.emit("fxch")],
    ["9bdfe0", (a) => a.emit("fstsw", ax)],
    ["dd01", (a) => a.emit("fld", asm.qword({ base: ecx }))],
    ["6bc10a", (a) => a.emit("imul", eax, ecx, 10)],
    ["0fb6c1", (a) => a.emit("movzx", eax, cl)],
    ["8d0452", (a) => a.emit("lea", eax, asm.memory({ base: edx, index: edx, scale: 2 }))],
  ];
  it.each(cases)("%s", (expected, build) => {
    expect(encode(build)).toBe(expected);
  });
});

describe("branches", () => {
  it("are short where they reach, near where not", () => {
    for (const [distance, length] of [
      [127, 2],
      [128, 5],
    ]) {
      const a = new Assembler();
      const end = a.newLabel();
      a.emit("jmp", end);
      a.bytes(new Uint8Array(distance!));
      a.place(end);
      expect(a.finish().labels[end.id]).toBe(length! + distance!);
    }
    const back = new Assembler();
    const start = back.mark();
    back.bytes(new Uint8Array(126));
    back.emit("je", start);
    expect(back.finish().text.length).toBe(128);
  });

  it("resolve local symbols, leave others to the linker", () => {
    const a = new Assembler();
    a.label("f");
    a.emit("call", asm.symbol("g"));
    a.emit("jmp", asm.symbol("other"));
    a.emit("mov", eax, asm.symbol("f", 4));
    a.label("g");
    a.emit("ret");
    const code = a.finish();
    expect(decode(code.text)).toEqual(["call 0000000Fh", "jmp 0000000Ah", "mov eax,0", "ret"]);
    expect(code.fixups).toEqual([
      { offset: 6, kind: "relative32", symbol: "other", addend: 0 },
      { offset: 11, kind: "absolute32", symbol: "f", addend: 4 },
    ]);
    expect([...code.symbols]).toEqual([
      ["f", 0],
      ["g", 15],
    ]);
  });

  it("make jump tables of labels against the symbol before them", () => {
    const a = new Assembler();
    a.label("f");
    const table = a.newLabel();
    const one = a.newLabel();
    a.emit("jmp", asm.dword({ index: eax, scale: 4, displacement: table }));
    a.place(one);
    a.emit("ret");
    a.align(4);
    a.place(table);
    a.dword(one);
    const code = a.finish();
    expect(code.text.length).toBe(12);
    expect(code.fixups).toEqual([
      { offset: 3, kind: "absolute32", symbol: "f", addend: 8 },
      { offset: 8, kind: "absolute32", symbol: "f", addend: 7 },
    ]);
  });

  it("all go where their label is, whatever the mixture of lengths and alignments", () => {
    const step = fc.record({ target: fc.nat(29), filler: fc.nat(60), align: fc.constantFrom(1, 1, 4, 16) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 30 }), (steps) => {
        const a = new Assembler();
        const labels = steps.map(() => a.newLabel());
        const branches: { at: asm.Label; target: number }[] = [];
        steps.forEach(({ target, filler, align }, i) => {
          a.align(align);
          a.place(labels[i]!);
          branches.push({ at: a.mark(), target });
          a.emit("jne", labels[target]!);
          a.bytes(new Uint8Array(filler).fill(0x90));
        });
        const { text, labels: offsets } = a.finish();
        const view = new DataView(text.buffer);
        for (const { at, target } of branches) {
          const start = offsets[at.id]!;
          const short = text[start] === 0x75;
          if (!short) expect(view.getUint16(start)).toBe(0x0f85);
          const end = short ? start + 2 : start + 6;
          const distance = short ? view.getInt8(start + 1) : view.getInt32(start + 2, true);
          expect(end + distance).toBe(offsets[labels[target]!.id]);
          if (!short) expect(Math.abs(distance)).toBeGreaterThan(110);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("errors", () => {
  const cases: [RegExp, (a: Assembler) => void][] = [
    [/ESP cannot be an index/, (a) => a.emit("mov", eax, asm.dword({ base: eax, index: esp }))],
    [/operand sizes differ/, (a) => a.emit("mov", eax, asm.word({ base: eax }))],
    [/300 does not fit in 8 bits/, (a) => a.emit("mov", al, 300)],
    [/does not fit in 32 bits/, (a) => a.emit("mov", eax, 2 ** 32)],
    [/did you mean "movsx"/, (a) => a.emit("movsxx" as "movsx", eax, al)],
    [/read-modify-write/, (a) => a.emitPrefixed("lock", "add", eax, asm.dword({ base: eax }))],
    [/read-modify-write/, (a) => a.emitPrefixed("lock", "mov", asm.dword({ base: eax }), eax)],
    [/string instruction/, (a) => a.emitPrefixed("rep", "add", eax, ecx)],
    [/BX or BP/, (a) => a.emit("mov", eax, asm.dword({ base: bx, index: bp }))],
    [/16-bit address|32-bit registers/, (a) => a.emit("mov", eax, asm.dword({ base: ebx, index: si }))],
    [/it must be CL/, (a) => a.emit("shl", eax, al)],
    [/defined twice/, (a) => ["x", "x"].forEach((name) => void a.label(name))],
    [
      /no place/,
      (a) => {
        a.emit("jmp", a.newLabel());
        a.finish();
      },
    ],
    [
      /no place/,
      (a) => {
        a.emit("call", a.newLabel());
        a.finish();
      },
    ],
    [
      /only targets in the same assembler/,
      (a) => {
        a.emit("loop", asm.symbol("elsewhere"));
        a.finish();
      },
    ],
  ];
  it.each(cases)("%s", (message, act) => {
    const attempt = () => act(new Assembler());
    expect(attempt).toThrow(AssemblyError);
    expect(attempt).toThrow(message);
  });
});

it("assembles 100,000 instructions in a fraction of a second", () => {
  const a = new Assembler();
  const started = performance.now();
  let label = a.mark();
  for (let i = 0; i < 20_000; i++) {
    a.emit("mov", eax, asm.dword({ base: ebp, displacement: -i * 4 }));
    a.emit("add", eax, ecx);
    a.emit("cmp", esi, i);
    a.emit("je", label);
    a.emit("lea", edi, asm.memory({ base: edx, index: ecx, scale: 4 }));
    if (i % 8 === 0) label = a.mark();
  }
  a.finish();
  expect(performance.now() - started).toBeLessThan(2000);
});
