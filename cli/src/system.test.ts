/**
 * The whole system as a user meets it: `rialto` as a child process, booting what is built from the working tree, on our machine and on
 * QEMU. What each command prints, its exit status, and the guest's own test suite in every environment.
 */
import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readArchive } from "@rialto/toolchain/link/archive.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PathLength } from "./bench/kernel-paths.ts";
import type { RunStatistics } from "./statistics-file.ts";
import { readReport } from "./suite-run.ts";

const RIALTO = fileURLToPath(new URL("../bin/rialto.mjs", import.meta.url));
const BUILD = fileURLToPath(new URL("../../.rialto/build/", import.meta.url));
const QEMU = spawnSync("qemu-system-i386", ["--version"]).error === undefined;
const onQemu = QEMU ? "on QEMU" : "on QEMU (skipped: qemu-system-i386 is not installed)";
/** First builds compile every image. */
const BUILD_TIME = 600_000;

let folder = "";

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function rialto(
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string } = {},
): Promise<Finished> {
  const { input = "", ...others } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RIALTO, ...args], { cwd: folder, ...others, stdio: "pipe" });
    let [out, err] = ["", ""];
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out: out.replaceAll("\r\n", "\n"), err }));
    child.stdin!.on("error", () => {}); // the guest may end before it has read everything
    child.stdin!.end(input);
  });
}

/** Boots with these shell lines; what comes back lacks the build's progress. */
const boot = (lines: readonly string[], more: readonly string[] = []) =>
  rialto(["boot", ...more, ...lines.flatMap((line) => ["--exec", line])]);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "rialto-system-"));
  const build = await rialto(["build"]);
  if (build.code !== 0) throw new Error(`the system does not build:\n${build.err}`);
}, BUILD_TIME);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const HELLO = /^Hello from process (\d+) \((\w+)\), ring (\d), code at (0x[0-9a-f]{8})$/gm;

describe("rialto boot", () => {
  it("runs one binary in a process and in the kernel", async () => {
    const { code, out } = await boot(["run hello", "run -k hello"]);
    const [user, kernel] = [...out.matchAll(HELLO)];
    expect([user?.[2], user?.[3]]).toEqual(["hello", "3"]);
    expect([kernel?.[1], kernel?.[2], kernel?.[3]]).toEqual(["0", "kernel", "1"]);
    expect(kernel?.[4]).toBe(user?.[4]);
    expect(code).toBe(0);
  });

  it("shares a library's code pages between all spaces and no data page", async () => {
    const { out } = await boot(["modules"]);
    const rows = [...out.matchAll(/^ +(\d+) (0x\w+) +\d+ +\d+ (0x\w+) (0x\w+|-) +rt$/gm)];
    expect(rows.length).toBeGreaterThan(1);
    expect(rows.map(([, space]) => space)).toContain("0");
    expect(new Set(rows.map(([, , base]) => base)).size).toBe(1);
    expect(new Set(rows.map(([, , , codeFrame]) => codeFrame)).size).toBe(1);
    expect(new Set(rows.map(([, , , , dataFrame]) => dataFrame)).size).toBe(rows.length);
  });

  it.each([
    [["console=process"]],
    [["bootfs=kernel"]],
    [["console=process", "bootfs=kernel", "shell=kernel"]],
  ])("starts services where --place puts them: %s", async (places) => {
    const { code, out } = await boot(
      ["ps", "run hello"],
      places.flatMap((place) => ["--place", place]),
    );
    for (const place of places) {
      const [name, where] = place.split("=");
      const ring = where === "kernel" ? "1" : "3";
      expect(out).toMatch(new RegExp(`^ +\\d+ +${ring} .* ${name}$`, "m"));
    }
    expect(out).toMatch(/Hello from process/);
    expect(code).toBe(0);
  });

  it("prints the same twice, times included", async () => {
    // The same bytes both times, whatever is built meanwhile.
    for (const name of ["kernel.elf", "archive.img"]) copyFileSync(`${BUILD}${name}`, join(folder, name));
    writeFileSync(join(folder, "lines"), "ps\nmem\nmodules\nnames\nrun callbench 20\n");
    const run = () =>
      rialto(["machine", "kernel.elf", "--module", "archive.img archive", "--module", "lines script"]);
    const [one, two] = [await run(), await run()];
    expect(two).toEqual(one);
    expect(one).toMatchObject({ code: 0, out: expect.stringContaining("cycles a call") as string });
  });

  it.skipIf(!QEMU)(`prints the same ${onQemu}`, async () => {
    const lines = ["run hello", "run -k hello", "help", "names", "bogus", "run nothing"];
    const [ours, qemu] = [await boot(lines), await boot(lines, ["--on", "qemu"])];
    expect(qemu.out).toBe(ours.out);
    expect(qemu.code).toBe(ours.code);
    expect(ours.code).toBe(2);
  });

  it("ends with the status of the first line that failed", async () => {
    expect(await boot(["run nothing", "bogus"])).toMatchObject({ code: 127 });
    expect(await boot(["poweroff 5"])).toMatchObject({ code: 5 });
    const { code, out } = await boot(["helo", "mem x"]);
    expect(code).toBe(2);
    expect(out).toMatch(/unknown command: helo. Did you mean help\?/);
    expect(out).toMatch(/usage: mem/);
  });

  it("takes lines from standard input", async () => {
    const { code, out } = await rialto(["boot"], { input: "run hello\npoweroff 3\n" });
    expect(out).toMatch(/Hello from process/);
    expect(code).toBe(3);
  });

  it("writes statistics with phases and the kernel's counters", async () => {
    const { code } = await boot(["mark 1", "run hello", "mark 2"], ["--stats", "stats.json"]);
    expect(code).toBe(0);
    const stats = JSON.parse(readFileSync(join(folder, "stats.json"), "utf8")) as RunStatistics;
    expect(stats).toMatchObject({ model: "fast", frequency: 75_000_000, memory: 16 * 2 ** 20 });
    const { user, kernel, firstLevel, ring2, idle, total } = stats.cycles;
    expect(user + kernel + firstLevel + ring2 + idle).toBe(total);
    expect(stats.phases.map(({ phase }) => phase)).toEqual([1, 2]);
    const [first, second] = stats.phases as [RunStatistics["phases"][0], RunStatistics["phases"][0]];
    expect(second.counts.traps.systemCalls).toBeGreaterThan(5);
    expect(second.counts.instructions).toBeLessThan(stats.instructions - first.counts.instructions);
    const { counters } = second;
    const owners = [
      "kernelImage",
      "kernelHeap",
      "bootArchive",
      "pageTables",
      "imageCode",
      "imageData",
      "anonymous",
    ];
    const owned = owners.map((owner) => counters[`pages.${owner}`]!);
    const stacks = counters["stacks.kernel.now"]! + counters["stacks.user.now"]!;
    const sum = owned.reduce((total, pages) => total + pages, stacks);
    expect(sum + counters["pages.free"]!).toBe(counters["pages.total"]);
    expect(counters["pages.peakInUse"]).toBeGreaterThanOrEqual(sum);
    expect(counters["stacks.kernel.peak"]).toBeGreaterThanOrEqual(counters["stacks.kernel.now"]!);
    expect(counters["threads.now"]).toBeGreaterThan(4);
  });
});

describe("somebody's own program", () => {
  const own = (name: string, body: string) => writeFileSync(join(folder, name), body);

  it("runs from any folder, with its arguments and exit status", async () => {
    own(
      "greet.ts",
      `import { print } from "rialto/lib/rt/print";
       export function main(argc: i32, argv: usize): i32 {
         for (let i = 1; i < argc; i++) { print(load<usize>(argv + i * 4)); print(text("\\n")); }
         return argc * 70;
       }`,
    );
    const user = await rialto(["run", "greet.ts", "Ada", "-x"]);
    expect({ ...user, err: "" }).toEqual({ code: 210, out: "Ada\n-x\n", err: "" });
    const kernel = await rialto(["run", "greet.ts", "--in", "kernel", "Ada"]);
    expect(kernel).toEqual({ code: 140, out: "Ada\n", err: "" });
  });

  it("may fault: the report says where, the status is 126", async () => {
    own("bad.ts", "export function main(argc: i32, argv: usize): i32 { return load<i32>(16); }");
    const { code, out } = await rialto(["run", "bad.ts"]);
    expect(out).toMatch(/^fault: bad, .* page fault reading 0x00000010 at 0x4f000/m);
    expect(code).toBe(126);
  });

  it("may not compile: the message names file, line and column", async () => {
    own("wrong.ts", "export function main(argc: i32, argv: usize): i32 { return nonsense; }");
    const { code, out, err } = await rialto(["run", "wrong.ts"]);
    expect(err).toMatch(/wrong\.ts:1:\d+: .*nonsense/);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).not.toMatch(/^\s+at /m);
  });

  it("is ended when it takes too long", async () => {
    own("loop.ts", "export function main(argc: i32, argv: usize): i32 { while (true) {} }");
    const { code, err } = await rialto(["run", "loop.ts", "--timeout", "2"]);
    expect(err).toMatch(/ended after 2 seconds/);
    expect(code).toBe(124);
  });

  it("is compared in both places", async () => {
    const { code, out } = await rialto(["compare", "callbench", "20", "--json"]);
    expect(code).toBe(0);
    const {
      process: user,
      kernel,
      sameOutput,
    } = JSON.parse(out) as Record<string, never> & {
      process: RunStatistics & { pages: number };
      kernel: RunStatistics & { pages: number };
    };
    expect(sameOutput).toBe(false); // it prints cycles
    expect(user.traps.systemCalls).toBeGreaterThan(40);
    expect(kernel.traps.systemCalls).toBeLessThan(user.traps.systemCalls - 35);
    expect(user.cycles.user).toBeGreaterThan(kernel.cycles.user);
    expect(user.pages).toBeGreaterThan(kernel.pages);
    const table = (await rialto(["compare", "hello"])).out;
    expect(table).toMatch(/^instructions +[\d,]+ +[\d,]+ +[\d.]+$/m);
    expect(table).toMatch(/Cycle model 'fast'/);
    expect(table).toMatch(/The two runs printed different text/);
  });
});

describe("rialto bench kernel", () => {
  it("counts path lengths in both places", async () => {
    const { code, out } = await rialto(["bench", "kernel", "--json"]);
    expect(code).toBe(0);
    const bench = JSON.parse(out) as Record<"process" | "kernel", PathLength[]>;
    const path = (place: "process" | "kernel", operation: string) => {
      const found = bench[place].find((each) => each.operation === operation);
      if (!found) throw new Error(`no path "${operation}" in the ${place}`);
      return found;
    };
    const direct = path("kernel", "null call, server in the kernel");
    expect(direct.transitions).toBe(0);
    expect(direct.instructions).toBeLessThanOrEqual(12);
    const trapped = path("process", "null call, server in the kernel");
    expect(trapped.transitions).toBeCloseTo(2, 0);
    expect(trapped.instructions).toBeGreaterThan(direct.instructions);
    const remote = path("process", "null call, server in a process");
    expect(remote.instructions).toBeGreaterThan(2 * trapped.instructions);
  });
});

describe("what can go wrong", () => {
  it.each<[string, string[], number, RegExp]>([
    ["no such program", ["run", "helo"], 1, /Did you mean 'hello'\?/],
    ["no such file", ["run", "gone.ts"], 1, /gone\.ts: there is no such file/],
    ["a place that is none", ["run", "hello", "--in", "kernal"], 2, /Did you mean kernel\?/],
    ["an argument with a blank", ["run", "hello", "a b"], 2, /words without blanks/],
    ["a machine that is none", ["boot", "--on", "qmu"], 2, /Did you mean qemu\?/],
    [
      "statistics on QEMU",
      ["boot", "--on", "qemu", "--stats", "s.json", "--exec", "ps"],
      1,
      /our own machine/,
    ],
    ["a place without a service", ["boot", "--place", "console"], 2, /NAME=VALUE/],
    ["too little memory", ["boot", "--memory", "1M", "--exec", "ps"], 2, /2M to 2G/],
    ["no such group", ["test", "thread"], 2, /Did you mean 'threads'\?/],
    ["a board to come", ["test", "--board", "r3000"], 1, /not there yet/],
    ["no such bench", ["bench", "kernal"], 2, /Did you mean 'kernel'\?/],
    ["a timeout that is none", ["run", "hello", "--timeout", "soon"], 2, /number of seconds/],
    ["nothing to compare", ["compare"], 2, /missing required argument/],
    ["no such script", ["boot", "--script", "gone.txt"], 1, /script gone\.txt: no such file/],
  ])("%s", async (_name, args, code, message) => {
    const run = await rialto(args);
    expect(run.err).toMatch(message);
    expect(run.err).not.toMatch(/^\s+at /m);
    expect(run.code).toBe(code);
    expect(run.out).toBe("");
  });

  it("QEMU is not installed", async () => {
    const { code, out, err } = await rialto(["boot", "--on", "qemu", "--exec", "ps"], { env: { PATH: "" } });
    expect(err).toMatch(/qemu-system-i386 is not installed: install QEMU/);
    expect({ code, out }).toEqual({ code: 1, out: "" });
  });

  it("a service that is not in etc/system", async () => {
    const { code, out } = await boot(["ps"], ["--place", "consol=process"]);
    expect(out).toMatch(/etc\/system starts no program called consol/);
    expect(code).toBe(1);
  });

  describe("with the boot files", () => {
    const machine = (kernel: string, archive: string) =>
      rialto(["machine", kernel, "--module", `${archive} archive`]);

    it.each([100, 5000, 60_000])("an archive cut after %i bytes", async (size) => {
      writeFileSync(join(folder, "cut.img"), readFileSync(`${BUILD}archive.img`).subarray(0, size));
      const { code, out } = await machine(`${BUILD}kernel.elf`, "cut.img");
      expect(out).toMatch(/boot archive damaged/);
      expect(code).toBe(1);
    });

    it("a byte of an image changed", async () => {
      const bytes = readFileSync(`${BUILD}archive.img`);
      const rt = readArchive(bytes).find(({ name }) => name === "lib/rt");
      const at = bytes.indexOf(rt!.contents) + 0x200;
      bytes[at]! ^= 0xff;
      writeFileSync(join(folder, "changed.img"), bytes);
      const { code, out } = await machine(`${BUILD}kernel.elf`, "changed.img");
      expect(out).toMatch(/checksum/);
      expect(code).toBe(1);
    });

    it("no archive", async () => {
      const { code, out } = await rialto(["machine", `${BUILD}kernel.elf`]);
      expect(out).toMatch(/no module called archive/);
      expect(code).toBe(1);
    });

    it("a kernel cut short", async () => {
      writeFileSync(join(folder, "cut.elf"), readFileSync(`${BUILD}kernel.elf`).subarray(0, 50_000));
      const { code, err } = await machine("cut.elf", `${BUILD}archive.img`);
      expect(err).toMatch(/cut\.elf: .*truncated/);
      expect(code).toBe(1);
    });

    it("a module that leaves no memory", async () => {
      writeFileSync(join(folder, "large.img"), new Uint8Array(1_500_000));
      const flags = ["--memory", "2M", "--module", "large.img archive"];
      const { code, out, err } = await rialto(["machine", `${BUILD}kernel.elf`, ...flags]);
      expect(err).toMatch(/the machine has 2 MB: use more/);
      expect({ code, out }).toEqual({ code: 1, out: "" });
    });
  });
});

describe("the guest's test suite", () => {
  const environments = [
    { place: "process", on: "rialto", name: "in a process" },
    { place: "kernel", on: "rialto", name: "in the kernel" },
    { place: "process", on: "qemu", name: `in a process, ${onQemu}` },
    { place: "kernel", on: "qemu", name: `in the kernel, ${onQemu}` },
  ];
  for (const { place, on, name } of environments) {
    it.skipIf(on === "qemu" && !QEMU)(
      name,
      async () => {
        const { code, out } = await rialto(["test", "--in", place, "--on", on, "--timeout", "280"]);
        const { failed, passed, complete } = readReport(out);
        expect(failed).toEqual([]);
        expect(complete).toBe(true);
        expect(passed.length).toBeGreaterThanOrEqual(40);
        expect(new Set(passed).size).toBe(passed.length);
        expect(code).toBe(0);
      },
      300_000,
    );
  }
});
