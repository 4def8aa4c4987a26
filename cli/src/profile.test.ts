/** Profiles and coverage of the booted system: names, sums, files; and that nothing in the machine is different for them. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { afterAll, describe, expect, it } from "vitest";
import { type BootRequest, bootMachine } from "./boot.ts";
import { openCoverageFile } from "./coverage-file.ts";
import { UsageError } from "./errors.ts";
import { parseProfileFlags } from "./observation-flags.ts";

const folder = mkdtempSync(join(tmpdir(), "rialto-profile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BUILD_TIME = 600_000;
const inFolder = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(inFolder(name), "utf8");

async function boot(more: Partial<BootRequest>) {
  const request: BootRequest = {
    on: "rialto",
    script: "run callbench 20\nrun -k hello\n",
    options: new Map([["quiet", "1"]]),
    memory: 16 * 2 ** 20,
    interruptible: false,
    ...more,
  };
  const { pc, status } = await bootMachine(request, () => ({ write: () => {}, flush: async () => {} }));
  expect(status).toBe(0);
  return pc;
}

const profile = (files: readonly string[], profileKind: string) =>
  parseProfileFlags({ profile: files.map(inFolder), profileKind });
const grouped = (value: number) => value.toLocaleString("en-US");

describe("profiles of the system", () => {
  it(
    "counts every cycle, by process and kernel, function and line",
    async () => {
      const pc = await boot({
        observation: { profile: profile(["exact.txt", "exact.folded", "exact.svg"], "exact") },
      });
      const { cyclesIdle } = pc.processor.statistics();
      const text = read("exact.txt");
      expect(text).toContain(
        `${grouped(pc.cycle)} cycles at 75 MHz (model 'fast'), ${grouped(cyclesIdle)} of them idle; ${grouped(pc.instructions)} instructions`,
      );
      expect(text).toMatch(/^ *[\d,]+ +[\d.]+% +[\d,]+ {2}echo$/m);
      expect(text).toMatch(/ kernel +kernel!callRemote +os\/kernel\/calls\/remote\.ts:\d+$/m);
      const folded = read("exact.folded").trimEnd().split("\n");
      const cycles = folded.map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
      // Each line is rounded by itself, but all are whole.
      expect(cycles.reduce((sum, value) => sum + value, 0)).toBe(pc.cycle - cyclesIdle);
      // A remote call from its client's program down to the kernel's first level.
      expect(
        folded.some((line) =>
          /^callbench \(process \d+\);.*callbench!main;.*proxies!proxyMethod\d+;.*kernel!systemCall;.*kernel!callRemote;.*kernel!handOff;.*kernel!handOffTrap/.test(
            line,
          ),
        ),
      ).toBe(true);
      expect(folded.some((line) => /^echo \(process \d+\);.*echo!/.test(line))).toBe(true);
      expect(read("exact.svg")).toMatch(/<title>kernel!systemCall: [\d,]+ cycles/);

      // Another run, watched in other ways: the same machine.
      const coverage = openCoverageFile(inFolder("guest.lcov"));
      const sampled = await boot({
        observation: { profile: profile(["sample.txt"], "sample"), coverage: coverage.coverage },
      });
      expect(sampled.stateHash()).toBe(pc.stateHash());
      expect(read("sample.txt")).toMatch(/^sampled profile: a look every 10,000 cycles\n/);
      expect(read("sample.txt")).toMatch(/kernel!fileIntact/);

      // Compiled, with chains of calls: through the trap from a process to the kernel.
      const compiled = await boot({
        observation: {
          profile: parseProfileFlags({
            profile: [inFolder("chains.folded"), inFolder("chains.svg")],
            profileKind: "sample",
            profileEvery: "1000",
          }),
        },
      });
      expect(compiled.processor.compiler).not.toBeNull();
      expect(compiled.stateHash()).toBe(pc.stateHash());
      const chains = read("chains.folded").trimEnd().split("\n");
      expect(
        chains.some((line) =>
          /^callbench \(process \d+\);.*callbench!main;.*proxies!proxyMethod\d+;kernel!systemCallEntry;kernel!systemCall;kernel!callRemote/.test(
            line,
          ),
        ),
      ).toBe(true);
      expect(chains.every((line) => Number(line.slice(line.lastIndexOf(" ") + 1)) % 1000 === 0)).toBe(true);
      expect(read("chains.svg")).toMatch(/<title>callbench!main: [\d,]+ cycles/);

      const table = await coverage.close();
      expect(table).toMatch(/^ +[\d.]+% of +\d+ +[\d.]+% of +\d+ {2}os\/kernel\/calls$/m);
      const lcov = read("guest.lcov");
      const record = /SF:(.*os\/apps\/hello\/main\.ts)\n([\s\S]*?)end_of_record/.exec(lcov)!;
      expect(record[1]).toBe(join(REPOSITORY, "os/apps/hello/main.ts"));
      expect(existsSync(record[1]!)).toBe(true);
      expect(record[2]).toMatch(/^FNDA:1,main$/m);
      const lines = [...record[2]!.matchAll(/^DA:\d+,1$/gm)].length;
      expect(record[2]).toContain(`LH:${lines}\n`);
      // Nobody ran the suite.
      const suite = /SF:.*os\/tests\/suite\/main\.ts\n([\s\S]*?)end_of_record/.exec(lcov)!;
      expect(suite[1]).toMatch(/^LH:0$/m);
    },
    BUILD_TIME,
  );
});

describe("flags of a profile", () => {
  it.each([
    [["x.pdf"], "exact", undefined, /ends in \.txt .* \.folded .* or \.svg/],
    [["x.txt"], "exakt", undefined, /Did you mean exact\?/],
    [["x.txt"], "exact", "5000", /it needs --profile-kind sample/],
    [["x.txt"], "sample", "5", /100 or more/],
  ] as const)("%o %s %s is refused", (files, profileKind, profileEvery, message) => {
    const parse = () =>
      parseProfileFlags({ profile: files, profileKind, ...(profileEvery && { profileEvery }) });
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });

  it("nothing is watched without", () => {
    expect(parseProfileFlags({ profile: [], profileKind: "exact" })).toBeUndefined();
  });
});
