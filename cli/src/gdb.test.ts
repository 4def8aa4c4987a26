/**
 * GDB itself against the booted system: breakpoints by name before paging, in the kernel, in a first-level handler, in one binary both in
 * a process and in the kernel; source lines, watchpoints, threads; and that a debugged run counts what any other counts.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILD_TIME, DebuggedCommands, gdb, gdbInstalled, RIALTO, withGdb } from "./gdb-testing.ts";

const commands = new DebuggedCommands();

beforeAll(() => commands.prepare(), BUILD_TIME);
afterAll(() => commands.close());

describe.skipIf(!gdbInstalled)(withGdb, () => {
  it("stops in the kernel before and after paging, at a variable's change and in a trap handler", async () => {
    const { port } = await commands.debug(["run hello"]);
    const text = await gdb(port, [
      "info registers eip cr0",
      "stepi",
      "x/i $eip",
      "break prepareBoot",
      "continue",
      'printf "unpaged cr0 %x base %x\\n", $cr0, $cs_base',
      "delete",
      "watch lastId",
      "continue",
      "bt",
      "delete",
      "break firstLevelTrap",
      "continue",
      "bt",
      "next",
      "info registers eflags cs",
      "p $st0",
      "monitor system",
      "kill",
    ]);
    expect(text).toMatch(/cr0 +0x11 /);
    expect(text).toMatch(/=> 0x1[01][0-9a-f]{4}:\tcld/);
    expect(text).toMatch(/Breakpoint 1, prepareBoot \(\) at os\/kernel\//);
    expect(text).toMatch(/unpaged cr0 11 base 60000000/);
    expect(text).toMatch(/Hardware watchpoint 2: lastId\n\nOld value = 0\nNew value = 1\n/);
    expect(text).toMatch(/#0 .* in enterThread \(\) at os\/kernel\/threads\/thread\.ts:\d+/);
    expect(text).toMatch(/#\d+ .* in bootMain \(\) at os\/kernel\//);
    // Through the trap to the code that was interrupted.
    expect(text).toMatch(/Breakpoint 3, firstLevelTrap \(\) at os\/kernel\/i386\/traps\.ts:\d+/);
    expect(text).toMatch(/#1 +<signal handler called>\n#2 .*\n#3 .* at os\/kernel\//);
    expect(text).toMatch(/cs +0x8 /);
    expect(text).toMatch(/ring 0, interrupts off/);
  });

  it("stops one binary in a process and in the kernel, with threads and backtraces across system calls", async () => {
    const { port, finished } = await commands.debug(["run hello", "run -k hello"]);
    const text = await gdb(port, [
      "break os/apps/hello/main.ts:main",
      "continue",
      "bt",
      "info threads",
      "p $cs & 3",
      "next",
      "break systemCall",
      "continue",
      "bt",
      "monitor ps",
      "monitor modules",
      "delete 2",
      "continue",
      "bt",
      "p $cs & 3",
      "delete",
      "continue",
    ]);
    const [inProcess, inKernel] = text
      .split(/hit Breakpoint 1, main \(\) at os\/apps\/hello\/main\.ts:\d+/)
      .slice(1);
    expect(inProcess).toMatch(/#1 .* in startProgram \(\) at os\/lib\/rt\/program\.ts:\d+/);
    expect(inProcess).toMatch(
      /\* \d+ +Thread \d+ "hello" \(running, process \d+, priority \d+, ring 3\) main \(\)/,
    );
    expect(inProcess).toMatch(/Thread \d+ "shell" \(waiting, process \d+, priority \d+\)/);
    expect(inProcess).toMatch(/\$1 = 3\n10\t/);
    expect(inProcess).toMatch(
      /#0 +systemCall \(\) at .*\n#1 +<signal handler called>\n#2 .* in proxyMethod\d+ \(\)\n#3 .* at os\/lib\/rt\/.*\n#4 .* in main \(\) at os\//,
    );
    // GDB prints the answers of the monitor on its standard error.
    expect(text).toMatch(/^5 +process +1 +running +hello$/m);
    expect(text).toMatch(/^hello +hello +41400000 /m);
    expect(inKernel).toMatch(/#1 .* in startProgram \(\) at os\/lib\/rt\/program\.ts/);
    expect(inKernel).toMatch(/\$2 = 1\n/);
    expect(inKernel).toMatch(/exited normally/);
    const { out, code } = await finished;
    expect(out).toMatch(/ring 3.*\n.*\n.*ring 1/);
    expect(code).toBe(0);
  });

  it("goes back: steps, breakpoints, watchpoints, in process, kernel, handlers and before paging", async () => {
    const { port, finished } = await commands.debug(["run hello"]);
    const text = await gdb(port, [
      "break os/apps/hello/main.ts:main",
      "continue",
      "stepi 3",
      "reverse-stepi 3",
      'printf "back at %x\\n", $eip',
      "next",
      "reverse-next",
      'printf "again at %x\\n", $eip',
      "break systemCall",
      "reverse-continue",
      'printf "ring %d\\n", $cs & 3',
      "delete",
      "watch lastId",
      "reverse-continue",
      "bt 1",
      "delete",
      "break firstLevelTrap",
      "reverse-continue",
      'printf "ring %d\\n", $cs & 3',
      "delete",
      "break prepareBoot",
      "reverse-continue",
      'printf "cr0 %x\\n", $cr0',
      "reverse-continue",
      "reverse-stepi",
      "delete",
      "continue",
    ]);
    const [, back] = /back at (\w+)/.exec(text) ?? [];
    expect(back).toMatch(/^414003/);
    expect(text).toMatch(/\n10\t/);
    expect(text).toContain(`again at ${back}`);
    expect(text).toMatch(/hit Breakpoint 2, systemCall \(\).*\n.*\nring 1\n/);
    const [, old, now] = /Old value = (\d+)\nNew value = (\d+)/.exec(text) ?? [];
    expect(Number(now)).toBe(Number(old) - 1);
    expect(text).toMatch(/#0 .* in enterThread \(\) at os\/kernel\/threads\/thread\.ts/);
    expect(text).toMatch(/hit Breakpoint 4, firstLevelTrap \(\).*\n.*\nring 0\n/);
    expect(text).toMatch(/Breakpoint 5, prepareBoot \(\).*\n.*\ncr0 11\n/);
    expect(text.match(/No more reverse-execution history/g)).toHaveLength(2);
    expect(text).toMatch(/exited normally/);
    // What was printed before is not printed again.
    expect((await finished).out.match(/Hello from/g)).toHaveLength(1);
  });

  it("attaches, leaves, and comes again; the guest's status is GDB's and ours", async () => {
    const { port, finished } = await commands.debug(["run nothing"]);
    expect(await gdb(port, ["break bootMain", "continue", "detach"])).toMatch(/Breakpoint 1, bootMain/);
    const { code, out } = await finished;
    expect(out).toContain("run nothing");
    expect(code).not.toBe(0);
  });

  it("does not change what the guest counts", async () => {
    const lines = ["--exec", "run hello"];
    const plain = join(commands.folder, "plain.json");
    const debugged = join(commands.folder, "debugged.json");
    const boot = spawnSync(process.execPath, [RIALTO, "boot", "--stats", plain, ...lines], {
      encoding: "utf8",
    });
    expect(boot).toMatchObject({ status: 0, stderr: expect.any(String) });
    const { port, finished } = await commands.serve(["boot", "--gdb", "0", "--stats", debugged, ...lines]);
    const text = await gdb(port, [
      "break os/apps/hello/main.ts:main",
      "watch lastId",
      "continue",
      "continue",
      "next",
      "stepi 20",
      "reverse-stepi 5",
      "reverse-continue",
      "delete",
      "break main.ts:12",
      "continue",
      "bt",
      "info threads",
      "delete",
      "continue",
    ]);
    expect(text).toMatch(/exited normally/);
    expect((await finished).code).toBe(0);
    const counts = (file: string) => JSON.parse(readFileSync(file, "utf8"));
    expect(counts(debugged)).toEqual(counts(plain));
  });
});

describe("without GDB", () => {
  it("says what is wrong with a port, and turns a second debugger away", async () => {
    const wrong = spawnSync(process.execPath, [RIALTO, "debug", "--port", "99999"], { encoding: "utf8" });
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/--port 99999: it takes a TCP port/);
    const { port } = await commands.debug(["run hello"]);
    const taken = spawnSync(process.execPath, [RIALTO, "debug", "--no-gdb", "--port", String(port)], {
      encoding: "utf8",
    });
    expect(taken.status).toBe(1);
    expect(taken.stderr).toMatch(/somebody listens on that port already/);
    const first = connect(port, "127.0.0.1");
    await new Promise((resolve) => first.once("connect", resolve));
    const second = connect(port, "127.0.0.1");
    await new Promise((resolve) => second.once("close", resolve));
    first.destroy();
  });
});
