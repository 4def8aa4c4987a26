/**
 * GDB's steps and backtraces where traps meet the code that is looked at: by source lines across faults and interrupts, out of every
 * instruction of the entry code, in each trap design; and what a panic leaves to a debugger.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILD_TIME, DebuggedCommands, gdb, gdbInstalled, withGdb } from "./gdb-testing.ts";

const commands = new DebuggedCommands();

beforeAll(() => commands.prepare(), BUILD_TIME);
afterAll(() => commands.close());

const times = (count: number, ...lines: readonly string[]) =>
  Array.from({ length: count }, () => lines).flat();

/** The numbers of the source lines that GDB shows. */
const linesShown = (text: string) => [...text.matchAll(/^(\d+)\t/gm)].map(([, line]) => Number(line));

/** Each of the backtraces in a text: names of the functions. */
function backtraces(text: string): string[][] {
  const stacks: string[][] = [];
  for (const [, depth, name] of text.matchAll(/^#(\d+) +(?:0x\w+ in )?(<signal handler called>|\S+)/gm)) {
    if (depth === "0") stacks.push([]);
    stacks.at(-1)?.push(name.startsWith("<") ? "trap" : name);
  }
  return stacks;
}

describe.skipIf(!gdbInstalled)(withGdb, () => {
  it.each(["ring1", "taskgate"])("next and reverse-next stay in the program (%s)", async (traps) => {
    const { port } = await commands.debug(["run hello"], ["--set", `traps=${traps}`]);
    const text = await gdb(port, [
      "break os/apps/hello/main.ts:main",
      "continue",
      'printf "begin\\n"',
      // Code and data of libraries are touched for the first time here, and the timer ticks.
      ...times(5, "next"),
      'printf "ring %d\\n", $cs & 3',
      ...times(5, "reverse-next"),
      "kill",
    ]);
    const shown = linesShown(text.slice(text.indexOf("begin")));
    expect(shown).toHaveLength(10);
    const forwards = shown.slice(0, 5);
    expect(new Set(forwards).size).toBe(5);
    expect(shown.slice(5)).toEqual([...forwards.slice(0, 4).reverse(), 9]);
    expect(text).toMatch(/^ring 3$/m);
    expect(text).not.toMatch(/at os\/kernel\//);
  });

  it.each([
    ["ring1", "firstLevelTrap"],
    ["taskgate", "taskInterrupt"],
  ])("%s: every instruction of an entry knows what it interrupted", async (traps, handler) => {
    const { port } = await commands.debug(["run hello"], ["--set", `traps=${traps}`]);
    const text = await gdb(port, [
      "break os/apps/hello/main.ts:main",
      "continue",
      "delete",
      // A private trap, from kernel level: to its handler and out of it.
      "break privateTrap",
      "continue",
      "delete",
      'printf "in\\n"',
      ...times(27, "stepi", "bt"),
      'printf "out\\n"',
      "break leaveFirstLevel",
      "continue",
      "delete",
      "finish",
      "finish",
      ...times(8, "bt", "stepi"),
      `break ${handler}`,
      "continue",
      'printf "other\\n"',
      "bt",
      "kill",
    ]);
    const [way, after] = text.slice(text.indexOf("\nin\n")).split("\nout\n");
    const stacks = backtraces(way);
    expect(stacks).toHaveLength(27);
    const callers = stacks[0].slice(1);
    expect(callers.at(-1)).toMatch(/^(threadExit|kernelThreadExit|startProgram)$/);
    const stubs = stacks.filter(([innermost]) => innermost === "trap");
    expect(stubs.length).toBeGreaterThan(10);
    for (const stack of stubs) expect(stack).toEqual(["trap", "privateTrap", ...callers]);
    expect(stacks.at(-1)).toEqual(expect.arrayContaining(["firstLevelTrap", "trap", "privateTrap"]));
    const [back, other] = after.split("\nother\n");
    for (const stack of backtraces(back)) expect(stack.at(-1)).toMatch(/Exit$|^startProgram$|^threadExit$/);
    expect(backtraces(other)[0].slice(0, 2)).toEqual([handler, "trap"]);
  });

  it("a panic's epitaph is read where it is", async () => {
    const { port, finished } = await commands.debug(["run hello"], ["--set", "break=panic"]);
    const text = await gdb(port, [
      "monitor epitaph",
      "break tell",
      "continue",
      "monitor epitaph",
      "delete",
      "continue",
    ]);
    expect(text).toMatch(/the kernel has not panicked/);
    expect(text).toMatch(/^panic: \w.*\nthread \d+, process \d+ \(\w+\)\n/m);
    expect(text).toMatch(/^stack: a0[0-9a-f]{6} /m);
    expect(text).toMatch(/exited with code 0373/);
    expect((await finished).code).toBe(125);
  });
});
