/**
 * Every form that the assembler knows, with generated operands: the bytes must read back as the same instruction with the same
 * operands, and iced-x86 must agree with that reading.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { compareWithIced } from "../test/iced-oracle.ts";
import { Assembler } from "./assembler.ts";
import { type Form, findBranch, findForms, mnemonics, operandKind } from "./assembler-forms.ts";
import * as asm from "./assembly.ts";
import { disassemble } from "./disassembler.ts";
import { instructions } from "./table.ts";

const k = operandKind;

const address: fc.Arbitrary<asm.Address> = fc.oneof(
  fc.record({ base: fc.constantFrom(...asm.registers32), displacement: displacements() }),
  fc.record({
    base: fc.constantFrom(...asm.registers32),
    index: fc.constantFrom(...asm.registers32.filter((register) => register !== asm.esp)),
    scale: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
    displacement: displacements(),
  }),
  fc.record({
    index: fc.constantFrom(...asm.registers32.filter((register) => register !== asm.esp)),
    scale: fc.constantFrom(4 as const, 8 as const),
    displacement: displacements(),
  }),
  fc.record({ displacement: fc.integer({ min: 0, max: 0xffffffff }) }),
  fc.record({
    base: fc.constantFrom(asm.bx, asm.bp),
    index: fc.constantFrom(asm.si, asm.di),
    displacement: fc.integer({ min: -32768, max: 32767 }),
  }),
);

function displacements(): fc.Arbitrary<number> {
  return fc.oneof(
    fc.constantFrom(0, 1, -1, 127, 128, -128, -129),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  );
}

/** Immediates that some form must take; larger ones are tried only where they fit. */
const immediates = fc.oneof(fc.constantFrom(0, 1, 2, 100, 127), fc.integer({ min: 0, max: 127 }));

const sizes: Readonly<Record<number, asm.MemoryOperand["size"]>> = {
  ...{ [k.m0]: 0, [k.m1]: 1, [k.m2]: 2, [k.m4]: 4, [k.m6]: 6, [k.m8]: 8, [k.m10]: 10 },
};

function operandOf(kind: number): fc.Arbitrary<asm.Operand> {
  const size = sizes[kind];
  if (size !== undefined) return address.map((value): asm.Operand => ({ kind: "memory", size, ...value }));
  switch (kind) {
    case k.immediate:
      return immediates;
    case k.r8:
      return fc.constantFrom(...asm.registers8);
    case k.r16:
      return fc.constantFrom(...asm.registers16);
    case k.r32:
      return fc.constantFrom(...asm.registers32);
    case k.segment:
      return fc.constantFrom(...asm.segmentRegisters);
    case k.control:
      return fc.constantFrom(asm.cr0, asm.cr2, asm.cr3, asm.cr4);
    case k.debug:
      return fc.constantFrom(...asm.debugRegisters);
    case k.st:
      return fc.constantFrom(...asm.stackRegisters);
    case k.far:
      return fc
        .record({ selector: fc.nat(0xffff), offset: fc.nat() })
        .map(({ selector, offset }) => asm.far(selector, offset));
    default:
      return fc.constant(asm.symbol("elsewhere"));
  }
}

/** How our disassembler writes the operand. */
function written(operand: asm.Operand): string {
  const hexadecimal = (value: number) => (value < 10 ? String(value) : `0x${value.toString(16)}`);
  if (typeof operand === "number") return hexadecimal(operand);
  switch (operand.kind) {
    case "register":
      return operand.name.replace("st(0)", "st");
    case "memory": {
      const parts: string[] = [];
      if (operand.base) parts.push(operand.base.name);
      if (operand.index)
        parts.push(operand.scale! > 1 ? `${operand.index.name}*${operand.scale}` : operand.index.name);
      const displacement = operand.displacement as number;
      const text = parts.join("+");
      if (text === "") return `[${hexadecimal(displacement >>> 0)}]`;
      if (displacement === 0) return `[${text}]`;
      return `[${text}${displacement < 0 ? "-" : "+"}${hexadecimal(Math.abs(displacement))}]`;
    }
    case "far":
      return `${hexadecimal(operand.selector)}:${hexadecimal(operand.offset as number)}`;
    default:
      return "0";
  }
}

const shape = (text: string): string =>
  text
    .replace(/\b\w+ ptr /g, "")
    .replace(/ far /g, " ")
    .replace(/\bst\(0\)/g, "st");

function check(form: Form, mnemonic: string, operands: readonly asm.Operand[]): void {
  const a = new Assembler();
  a.emit(mnemonic as "mov", ...operands);
  const code = a.finish().text;
  const bytes = form.waits ? code.subarray(1) : code;
  const line = disassemble(bytes, 0, 0x1000);
  expect(line.length).toBe(bytes.length);
  const { ours, iced, icedLength } = compareWithIced(bytes);
  expect(`${ours} ${bytes.length}`).toBe(`${iced} ${icedLength}`);
  const row = line.instruction!.row;
  // Rows whose operands the text does not show one by one, or whose register has two names, are compared by iced alone.
  if (form.waits || operands.length !== row.operands.length) return;
  if (row.operands.some((code) => code === "Ew") || /^(nop|xlatb)$/.test(row.mnemonic)) return;
  const given = operands.map(written);
  const texts = [given, ...(/^(xchg|test)$/.test(row.mnemonic) ? [[...given].reverse()] : [])];
  expect(texts.map((text) => `${form.mnemonic} ${text.join(", ")}`.trim())).toContain(shape(line.text));
}

it("every form reads back as itself", { timeout: 20_000 }, () => {
  let forms = 0;
  let encodings = 0;
  const rows = new Set<number>();
  for (const mnemonic of mnemonics) {
    for (const [key, candidates] of findForms(mnemonic) ?? []) {
      const kinds = [key & 31, (key >> 5) & 31, key >> 10].filter((kind) => kind !== k.none);
      forms += candidates.length;
      const operands = fc.tuple(...kinds.map(operandOf));
      for (const sample of fc.sample(operands, { numRuns: kinds.length === 0 ? 1 : 12, seed: 1 })) {
        // Fixed operands are set, in turn, to what each candidate wants.
        for (const form of candidates) {
          const adjusted = sample.map((operand, i) => {
            const wanted = form.operands[form.swapped ? 1 - i : i];
            if (wanted?.role === "moffs")
              return {
                kind: "memory",
                size: (operand as asm.MemoryOperand).size,
                displacement: 0x1234,
              } as const;
            if (wanted?.role !== "fixed") {
              return wanted?.code === "Sw" && operand === asm.cs ? asm.ds : operand;
            }
            if (typeof operand === "number") return wanted.fixed;
            const register = operand as asm.Register;
            const family = {
              ...{ r8: asm.registers8, r16: asm.registers16, r32: asm.registers32, st: asm.stackRegisters },
              ...{ segment: asm.segmentRegisters, control: [], debug: [] },
            }[register.class];
            return family[wanted.fixed]!;
          });
          check(form, mnemonic, adjusted);
          rows.add(form.row.number);
          encodings++;
        }
      }
    }
  }
  console.log(
    `${mnemonics.length} mnemonics, ${forms} forms of ${rows.size} rows, ${encodings} encodings read back`,
  );
});

it("every row but second encodings can be assembled", () => {
  const unreachable = instructions.slice(1).filter((row) => {
    if (row.alias) return false;
    if (findBranch(row.mnemonic)) {
      const branch = findBranch(row.mnemonic)!;
      if (row.operands[0] === "Jb") return branch.short?.at(-1) !== row.opcode;
      if (row.operands[0] === "Jz") return branch.near?.at(-1) !== row.opcode;
    }
    return ![...(findForms(row.mnemonic)?.values() ?? [])].flat().some((form) => form.row === row);
  });
  expect(unreachable.map((row) => row.mnemonic)).toEqual([]);
});
