/** The engine's decoder against the reader of instructions for tools, which shares only the instruction table with it; and code that is written. */

import { describe, expect, it } from "vitest";
import { FIRST_CACHED } from "../../engine/layout/code-cache.ts";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { coldNumbers, HotOperation } from "./hot-operations.ts";
import { type ReadInstruction, readInstruction } from "./instruction-reader.ts";
import { Address, Field, Prefix, Segment, Slot } from "./layout.ts";
import type { Pentium } from "./pentium.ts";

const PLACE = 0x10_0100;

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    return (state >>> 16) & 0xff;
  };
}

function machine(jit: "on" | "off" = "off") {
  const pc = new PentiumPc({ memory: 2 * 2 ** 20, jit, compiler: { hot: 2 } });
  pc.processor.enterFlat(PLACE);
  return pc;
}

/** What a record must say, by the reader; a memory operand's registers as slots. */
function expected(read: ReadInstruction): Record<string, number> {
  const { row, address } = read;
  const isMemory = address !== undefined;
  const isLockRefused = read.lock && !(row.lockable && isMemory);
  const wanted: Record<string, number> = { bytes: read.length, offset: PLACE & 0xfff };
  if (isLockRefused || row.number === 0)
    return { ...wanted, operation: coldNumbers.get("undefined")!, clocks: 1 };
  wanted.clocks = isMemory ? row.clocks.memory : row.clocks.register;
  wanted.size = row.byteSized ? 1 : read.operandSize16 ? 2 : 4;
  wanted.prefix =
    (read.addressSize16 ? Prefix.ADDRESS_16 : 0) |
    (read.lock ? Prefix.LOCK : 0) |
    (read.repeat === 0xf3 ? Prefix.REP : read.repeat === 0xf2 ? Prefix.REPNE : 0);
  wanted.modrm = Math.max(read.modrm, 0);
  wanted.base = !isMemory || address.base < 0 ? Slot.ZERO : address.base;
  wanted.index = !isMemory || address.index < 0 ? Slot.ZERO : address.index;
  wanted.scale = isMemory && address.index >= 0 ? Math.log2(address.scale) : 0;
  const is16 = read.addressSize16 && (address?.displacementSize ?? 0) === 2;
  wanted.displacement = isMemory ? (is16 ? address.displacement & 0xffff : address.displacement) : 0;
  const isStack = isMemory && (address.base === 5 || address.base === 4);
  wanted.segment = read.segment >= 0 ? read.segment : isStack ? Segment.SS : Segment.DS;
  const [immediate] = read.immediates;
  if (immediate === undefined) return wanted;
  const code = row.operands.find((operand) => /^(I|J|A)/.test(operand));
  const relative = (PLACE & 0xfff) + read.length + immediate;
  const signed =
    code === "Ibs" ? (immediate << 24) >> 24 : read.operandSize16 ? (immediate << 16) >> 16 : immediate | 0;
  wanted.immediate =
    code === "Jb" || code === "Jz" ? relative | 0 : code === "Iz" || code === "Ibs" ? signed : immediate | 0;
  return wanted;
}

function actual(pool: Int32Array, p: number, wanted: Record<string, number>): Record<string, number> {
  const prefix = pool[p + Field.PREFIX]!;
  const all: Record<string, number> = {
    ...{
      operation: pool[p + Field.OPERATION]!,
      clocks: pool[p + Field.CLOCKS]!,
      size: pool[p + Field.SIZE]!,
    },
    ...{ offset: pool[p + Field.OFFSET]!, bytes: pool[p + Field.BYTES]!, base: pool[p + Field.BASE]! },
    ...{ index: pool[p + Field.INDEX]!, scale: pool[p + Field.SCALE]!, segment: pool[p + Field.SEGMENT]! },
    ...{ displacement: pool[p + Field.DISPLACEMENT]!, immediate: pool[p + Field.IMMEDIATE]! },
    ...{ prefix: prefix & 0xf, modrm: (prefix >> Prefix.MODRM_SHIFT) & 0xff },
  };
  return Object.fromEntries(Object.keys(wanted).map((key) => [key, all[key]!]));
}

describe("records of the decoder are as the reader for tools says", () => {
  const { processor } = machine();
  const { core, codeCache } = processor;
  const engine = processor.engine;

  function compare(bytes: readonly number[]): void {
    core.ram8.set(bytes, PLACE);
    processor.memoryChanged(PLACE, 64);
    const p = engine.locate(PLACE);
    const read = readInstruction(core.ram8, PLACE);
    const text = (): string => bytes.map((byte) => byte.toString(16)).join(" ");
    if (read === undefined) {
      expect(p, text()).toBe(-1);
      core.s[Slot.FETCHING] = 0;
      return;
    }
    const wanted = expected(read);
    const found = actual(codeCache.pool, p, wanted);
    // The comparison proper is slow.
    if (Object.keys(wanted).some((key) => wanted[key] !== found[key]))
      expect({ text: text(), ...found }).toEqual({ text: text(), ...wanted });
  }

  const prefixes = [[], [0x66], [0x67], [0xf0], [0xf3, 0x65], [0x2e, 0x67, 0x66]];
  it.each(prefixes)(
    "every opcode and ModR/M byte behind prefixes %s %s %s",
    (...prefix: (number | undefined)[]) => {
      const next = random(prefix.length + 1);
      const step = prefix.every((byte) => byte === undefined) ? 3 : 9;
      const before = prefix.filter((byte) => byte !== undefined);
      for (let opcode = 0; opcode < 0x200; opcode++) {
        for (let modrm = 0; modrm < 0x100; modrm += step) {
          const code = opcode >= 0x100 ? [0x0f, opcode & 0xff, modrm] : [opcode, modrm];
          compare([...before, ...code, ...Array.from({ length: 12 }, next)]);
        }
      }
    },
  );

  it("as many prefixes as there may be, and more", () => {
    for (let count = 9; count < 18; count++) {
      compare([...new Array<number>(count).fill(0x2e), 0x8b, 0x84, 0x85, 1, 2, 3, 4]);
      compare([...new Array<number>(count).fill(0x66), 0x90]);
    }
  });
});

describe("records by templates are as without", () => {
  const { processor } = machine();
  const { core, codeCache, engine } = processor;
  const index = core.words(Address.TEMPLATE_INDEX, 0x1_0000);
  const templates = core.words(Address.TEMPLATES, 1);
  const halfwords = new Uint16Array(index.buffer, index.byteOffset, 0x2_0000);

  function forget(): void {
    index.fill(0);
    templates[0] = 0;
  }

  function record(bytes: readonly number[]): number[] {
    // Short branches back leave the page.
    const place = 0x10_0040;
    core.ram8.set(bytes, place);
    processor.memoryChanged(place, 64);
    const p = engine.locate(place);
    return [...codeCache.pool.subarray(p, p + Field.WORDS)];
  }

  /** Instructions that begin with an opcode and any byte, in both ways; how many had templates. */
  function compareAll(opcode: readonly number[]): number {
    const next = random(opcode[opcode.length - 1]!);
    const place = opcode.length === 1 ? opcode[0]! << 8 : 0x1_0000 | (opcode[1]! << 8);
    const row = opcode.length === 1 ? -1 : 0x0f00 | opcode[1]!;
    let made = 0;
    for (let second = 0; second < 0x100; second++) {
      const behind = (): number[] => [...opcode, second, ...Array.from({ length: 12 }, next)];
      forget();
      record(behind());
      if (halfwords[place | second] !== 0 || (row >= 0 && halfwords[row] !== 0)) made++;
      const bytes = behind();
      const found = record(bytes);
      forget();
      const wanted = record(bytes);
      if (found.some((word, i) => word !== wanted[i]))
        expect({ bytes, found }).toEqual({ bytes, found: wanted });
    }
    return made;
  }

  it.each([0, 1, 2, 3, 4, 5, 6, 7])("opcodes %i/8", (part) => {
    let made = 0;
    for (let i = part * 0x40; i < part * 0x40 + 0x40; i++)
      made += compareAll(i < 0x100 ? [i] : [0x0f, i & 0xff]);
    expect(made).toBeGreaterThan(0x2000);
  });

  it("branches to where pages end", () => {
    for (const opcode of [[0xe8], [0xe9], [0x0f, 0x85]]) {
      for (const target of [-1, 0, 4095, 4096]) {
        const distance = target - 0x40 - opcode.length - 4;
        const bytes = [...opcode, ...[0, 8, 16, 24].map((shift) => (distance >> shift) & 0xff)];
        forget();
        const wanted = record(bytes);
        expect(record(bytes)).toEqual(wanted);
        expect(wanted[Field.IMMEDIATE]).toBe(target);
      }
    }
  });

  it.each([0xfe9, 0xfea, 0xfeb, 0xfec, 0xfed, 0xfee, 0xfef])(
    "at the end of a page, from offset %i on",
    (start) => {
      for (const code of [[0x40], [0x8b, 0x45, 0x08], [0x0f, 0xb6, 0x83, 1, 2, 3, 4], [0xb8, 1, 2, 3, 4]]) {
        core.ram8.set(
          Array.from({ length: 40 }, (_, i) => code[i % code.length]!),
          0x10_0000 + start,
        );
        processor.memoryChanged(0x10_0000, 4096);
        let p = engine.locate(0x10_0000 + start);
        let offset = start;
        for (; offset + code.length <= 4096; offset += code.length, p += Field.WORDS)
          expect([...codeCache.pool.subarray(p + Field.OFFSET, p + Field.BYTES + 1)]).toEqual([
            offset,
            code.length,
          ]);
        expect(codeCache.pool[p + Field.OPERATION]).toBe(HotOperation.relocate);
        expect(codeCache.pool[p + Field.OFFSET]).toBe(offset);
      }
    },
  );
});

/** A loop of additions and of stores over its own bytes; what it becomes may be anything. */
function selfWriting(seed: number, start: number): number[] {
  const next = random(seed);
  const code: number[] = [];
  while (code.length < 160) {
    const target = start + (next() % 160);
    const address = [target & 0xff, (target >> 8) & 0xff, (target >> 16) & 0xff, 0];
    switch (next() % 6) {
      case 0:
        // mov byte [target], a value that is often an instruction of one byte
        code.push(0xc6, 0x05, ...address, [0x40, 0x43, 0x90, 0x05, next()][next() % 5]!);
        break;
      case 1:
        code.push(0x88, 0x15, ...address); // mov [target], dl
        break;
      case 2:
        code.push(0xb8 + (next() % 4), next(), next(), next(), next()); // mov register, immediate
        break;
      case 3:
        code.push(0x05, next(), next(), 0, 0); // add eax, immediate
        break;
      case 4:
        code.push(0x75, 0x00); // jne to the next
        break;
      default:
        code.push(0x40 + (next() % 4)); // inc register
    }
  }
  const back = -(code.length + 5);
  return [...code, 0xe9, back & 0xff, (back >> 8) & 0xff, 0xff, 0xff];
}

/** Runs up to a cycle, every instruction decoded for itself. */
function stepAnew(processor: Pentium, end: number): string {
  while (processor.clock.now < end) {
    processor.codeCache.dropAll();
    const reason = processor.step();
    if (reason !== null) return reason;
  }
  return "cycle";
}

describe("code that writes over itself runs as if it were decoded anew each time", () => {
  it.each([0x100, 0xf80])("at offset %i of a page", (offset) => {
    const processors = [machine(), machine(), machine("on")].map((pc) => pc.processor);
    for (let seed = 1; seed <= 40; seed++) {
      const states = processors.map((processor, which) => {
        const start = 0x10_0000 + offset;
        processor.core.ram8.fill(0, start, start + 0x200).set(selfWriting(seed, start), start);
        processor.enterFlat(start, { ebx: seed });
        const begin = processor.clock.now;
        const trace: string[] = [];
        while (processor.clock.now < begin + 2000) {
          const end = processor.clock.now + 7;
          const reason = which === 0 ? stepAnew(processor, end) : processor.run(end);
          const state = `${processor.clock.now - begin} ${processor.eip} ${processor.registers.join(" ")}`;
          if (state !== trace[trace.length - 1]) trace.push(state);
          if (reason !== "cycle") break;
        }
        return trace;
      });
      expect(states[1], `seed ${seed}`).toEqual(states[0]);
      expect(states[2], `seed ${seed}, compiled`).toEqual(states[0]);
    }
  });

  it("where a return becomes an instruction that goes on", () => {
    const { processor } = machine();
    const { core, codeCache, engine } = processor;
    processor.enterFlat(PLACE, {});
    // Two runs, one behind the other in the pool: [nop] [ret] and [inc ecx] [ret].
    core.ram8.set([0x90, 0xc3, 0x90, 0x90, 0x41, 0xc3], PLACE);
    for (const start of [PLACE, PLACE, PLACE + 4, PLACE + 4]) engine.locate(start);
    core.ram8[PLACE + 1] = 0x42; // inc edx
    codeCache.written(PLACE + 1, 1);
    core.s[Slot.EIP] = PLACE;
    processor.run(processor.clock.now + 3);
    expect(processor.eip).toBe(PLACE + 3);
    expect([...processor.registers].slice(1, 3)).toEqual([0, 1]);
  });

  it("in place, when the new instruction is as long as the old one", () => {
    const { processor } = machine();
    const { core, codeCache, engine } = processor;
    core.ram8.set([0xb8, 1, 0, 0, 0, 0xc3], PLACE);
    engine.locate(PLACE);
    const p = engine.locate(PLACE);
    expect(p).toBeGreaterThanOrEqual(FIRST_CACHED);
    for (let value = 0; value < 1000; value++) {
      core.ram32[(PLACE + 4) >> 2] = value;
      codeCache.written(PLACE + 4, 4);
      core.s[Slot.EIP] = PLACE;
      processor.step();
      expect(engine.locate(PLACE)).toBe(p);
    }
  });
});
