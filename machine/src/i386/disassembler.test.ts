import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareWithIced } from "../test/iced-oracle.ts";
import { disassemble } from "./disassembler.ts";
import type { Instruction } from "./instruction.ts";
import { findInstruction, instructions, prefixKinds, undefinedInstruction } from "./table.ts";

const prefixSets = [[], [0x66], [0x67], [0x64], [0x66, 0x67], [0xf3], [0xf2], [0xf0]];

/** Later processors gave these encodings another meaning: TZCNT, LZCNT, WBNOINVD, and LEA's segment is shown by us alone. */
function meansSomethingElse(row: Instruction, prefixes: readonly number[]): boolean {
  if (prefixes.includes(0xf3)) return ["bsf", "bsr", "wbinvd"].includes(row.mnemonic);
  if (prefixes.includes(0x64)) return ["lea", "invlpg"].includes(row.mnemonic);
  return prefixes.includes(0xf0) && !row.lockable;
}

function encodings(row: Instruction, prefixes: readonly number[], tail: readonly number[]): Uint8Array[] {
  const start = [...prefixes, ...(row.twoByte ? [0x0f] : [])];
  if (!row.modrm) {
    return Array.from({ length: row.opcodeRegister ? 8 : 1 }, (_, register) =>
      Uint8Array.from([...start, row.opcode + register, ...tail]),
    );
  }
  const encoded: Uint8Array[] = [];
  for (let modrm = 0; modrm < 256; modrm++) {
    if (findInstruction(row.twoByte, row.opcode, modrm) === row) {
      encoded.push(Uint8Array.from([...start, row.opcode, modrm, ...tail]));
    }
  }
  return encoded;
}

describe("compared with iced-x86", () => {
  it("every row with every ModR/M byte and prefix", () => {
    const wrong: string[] = [];
    let compared = 0;
    for (const row of instructions.slice(1)) {
      for (const prefixes of prefixSets) {
        if (meansSomethingElse(row, prefixes)) continue;
        for (const bytes of encodings(row, prefixes, [0x84, 0x12, 0x34, 0xd6, 0x78, 0x9a, 0xbc, 0xde])) {
          const { ours, iced, ourLength, icedLength } = compareWithIced(bytes);
          if (ours.startsWith("(bad)") && iced.startsWith("(bad)")) continue;
          // LOCK on a register form is refused when it runs, not by its text.
          if (prefixes.includes(0xf0) && iced.startsWith("(bad)")) continue;
          // MOV CR1, CR5, CR6, CR7: undefined, seen when it runs.
          if (/\bcr[1567]\b/.test(ours)) continue;
          compared++;
          if (ours !== iced || ourLength !== icedLength) {
            wrong.push(
              `${Buffer.from(bytes).toString("hex")}: ${ours} (${ourLength}), iced ${iced} (${icedLength})`,
            );
          }
        }
      }
    }
    console.log(`${instructions.length - 1} rows, ${compared} encodings compared with iced-x86`);
    expect(wrong.slice(0, 40)).toEqual([]);
  });

  it("random instructions with SIB bytes, displacements and immediates", () => {
    const rows = instructions.slice(1).filter((row) => row.modrm && row.memoryForm);
    const bytes = fc.uint8Array({ minLength: 14, maxLength: 14 });
    fc.assert(
      fc.property(
        fc.constantFrom(...rows),
        fc.constantFrom(...prefixSets.slice(0, 5)),
        bytes,
        (row, prefixes, tail) => {
          const modrm = row.digit >= 0 ? (tail[0]! & 0xc7) | (row.digit << 3) : tail[0]!;
          if (findInstruction(row.twoByte, row.opcode, modrm) !== row || meansSomethingElse(row, prefixes))
            return;
          const start = [...prefixes, ...(row.twoByte ? [0x0f] : []), row.opcode, modrm];
          const { ours, iced, ourLength, icedLength } = compareWithIced(
            Uint8Array.from([...start, ...tail.subarray(1)]),
          );
          if (ours.startsWith("(bad)") && iced.startsWith("(bad)")) return;
          expect(`${ours} ${ourLength}`).toBe(`${iced} ${icedLength}`);
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it("finds no undefined opcode that iced knows, but for those of later processors", () => {
    const known: string[] = [];
    for (let opcode = 0; opcode < 0x100; opcode++) {
      if (prefixKinds[opcode] !== 0 || opcode === 0x0f) continue;
      for (let modrm = 0; modrm < 0x100; modrm++) {
        if (findInstruction(false, opcode, modrm) !== undefinedInstruction) continue;
        const { iced } = compareWithIced(Uint8Array.from([opcode, modrm, 0, 0, 0, 0, 0, 0, 0]));
        if (!iced.startsWith("(bad)")) known.push(iced.split(" ")[0]!);
      }
    }
    expect([...new Set(known)].sort()).toEqual([
      ...["fcmovb", "fcmovbe", "fcmove", "fcmovnb", "fcmovnbe", "fcmovne", "fcmovnu", "fcmovu"],
      ...["fcomi", "fcomip", "fisttp", "fnstdw", "fnstsg", "frstpm", "fucomi", "fucomip", "xabort", "xbegin"],
    ]);
  });
});

describe("text", () => {
  it.each([
    ["8b442408", "mov eax, dword ptr [esp+8]"],
    ["8b048d10000000", "mov eax, dword ptr [ecx*4+0x10]"],
    ["83ec10", "sub esp, 0x10"],
    ["6aff", "push 0xffffffff"],
    ["f3a5", "rep movsd dword ptr [edi], dword ptr [esi]"],
    ["ea785634120800", "jmp far 8:0x12345678"],
    ["0fff", "(bad) 0xf"],
    ["8b", "(bad) 0x8b"],
  ])("%s", (bytes, text) => {
    expect(disassemble(Uint8Array.from(Buffer.from(bytes, "hex"))).text).toBe(text);
  });

  it("names addresses", () => {
    const nameOf = (address: number) => (address === 0x100a ? "target" : undefined);
    const bytes = Uint8Array.from([0xe8, 5, 0, 0, 0]);
    expect(disassemble(bytes, 0, 0x1000, { nameOf }).text).toBe("call target");
  });

  it("a prefix sequence without an end is no instruction", () => {
    expect(disassemble(new Uint8Array(20).fill(0x66)).instruction).toBeUndefined();
  });
});

const objdump = spawnSync("objdump", ["--version"]).status === 0;
it.skipIf(!objdump)("lengths are objdump's (skipped without objdump)", () => {
  const folder = mkdtempSync(join(tmpdir(), "rialto-objdump-"));
  try {
    const parts: { bytes: Uint8Array; text: string }[] = [];
    for (const row of instructions.slice(1)) {
      // FWAIT is shown by objdump as part of the next instruction; it does not know the second encodings.
      if (row.mnemonic === "fwait" || row.alias) continue;
      for (const bytes of encodings(row, [], [0x24, 0x12, 0x34, 0x56, 0x78, 0x12])) {
        const line = disassemble(bytes);
        if (line.instruction) parts.push({ bytes: bytes.subarray(0, line.length), text: line.text });
      }
    }
    const text = new Uint8Array(parts.length * 16).fill(0x90);
    parts.forEach(({ bytes }, i) => {
      text.set(bytes, i * 16);
    });
    const file = join(folder, "code.bin");
    writeFileSync(file, text);
    const listing = spawnSync("objdump", ["-D", "-b", "binary", "-mi386", "-Mintel", file], {
      maxBuffer: 1 << 26,
    });
    const starts = [...listing.stdout.toString().matchAll(/^\s*([0-9a-f]+):\t([0-9a-f ]+)\t(\S+)/gm)];
    const theirs = new Map(
      starts.map(([, address, , mnemonic]) => [Number.parseInt(address!, 16), mnemonic]),
    );
    const wrong = parts.filter(({ bytes }, i) => !theirs.has(i * 16) || !theirs.has(i * 16 + bytes.length));
    console.log(`${parts.length} encodings compared with objdump`);
    expect(wrong.map(({ bytes, text }) => `${Buffer.from(bytes).toString("hex")} ${text}`)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
