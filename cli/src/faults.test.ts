/** Faults as the console shows them, a service that is started anew after one, and the kernel's own. Our machine and QEMU print the same. */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

const RIALTO = fileURLToPath(new URL("../bin/rialto.mjs", import.meta.url));
const QEMU = spawnSync("qemu-system-i386", ["--version"]).error === undefined;
const machines = QEMU ? ["rialto", "qemu"] : ["rialto"];
const BUILD_TIME = 600_000;

function rialto(args: readonly string[]): Promise<{ readonly code: number | null; readonly out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RIALTO, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out: out.replaceAll("\r\n", "\n") }));
  });
}

const boot = (machine: string, lines: readonly string[], more: readonly string[] = []) =>
  rialto(["boot", "--on", machine, ...more, ...lines.flatMap((line) => ["--exec", line])]);

beforeAll(async () => {
  await rialto(["build"]);
}, BUILD_TIME);

describe.each(machines)("a fault on %s", (machine) => {
  it("is reported with its place in the source and on whose behalf, and ends only what made it", async () => {
    const lines = [
      "run abuse read-null",
      "run abuse pass-unmapped",
      "start stubborn s",
      "run servicecalls fault s",
    ];
    const inKernel = ["start -k stubborn t", "run -k servicecalls fault t", "ps"];
    const { code, out } = await boot(machine, [...lines, ...inKernel]);
    const reports = out.split("\n").filter((line) => line.startsWith("fault: "));
    const where = (image: string) =>
      `at 0x\\w{8} \\(${image} \\+ 0x\\w{8}, os/tests/${image}/main\\.ts:\\d+\\)$`;
    const service =
      "^fault: stubborn, process \\d+, thread \\d+, called by servicecalls, process \\d+: invalid instruction";
    const wanted = [
      `^fault: abuse, process \\d+, thread \\d+: page fault reading 0x00000000 ${where("abuse")}`,
      `^fault: abuse, process \\d+, thread \\d+: bad pointer 0x20000000 passed in a call ${where("abuse")}`,
      `${service} ${where("stubborn")}`,
      `${service} ${where("stubborn")}`,
    ];
    expect(reports).toEqual(wanted.map((pattern) => expect.stringMatching(new RegExp(pattern))));
    expect(out).not.toMatch(/stubborn$/m);
    expect(code).toBe(126);
  });

  it("in a service in the kernel starts it anew in a process with demote=on", async () => {
    const lines = ["start -k stubborn s", "run servicecalls fault s", "ps"];
    const { code, out } = await boot(machine, lines, ["--set", "demote=on"]);
    expect(out).toMatch(/^stubborn: restarted in a process$/m);
    expect(out).toMatch(/^ +\d+ +3 .* stubborn$/m);
    expect(code).toBe(0);
  });
});

describe.each(machines)("a broken invariant of the kernel on %s", (machine) => {
  const last = /^last lines of the console:\n(?:\|.*\n)*\| Hello from process \d+ \(hello\).*\n/m;

  it("ends the run with an epitaph: source lines of the stack, the console's last lines", async () => {
    const { code, out } = await boot(machine, ["run hello"], ["--set", "break=panic"]);
    expect(out).toMatch(
      /^panic: the boot option break asked for it\nthread \d+, process \d+ \(shell\)\nstack:\n/m,
    );
    expect(out).toMatch(/^ {2}0x\w{8} os\/kernel\/objects\/services\.ts:\d+$/m);
    expect(out).toMatch(last);
    expect(code).toBe(125);
  });

  it("has the registers of kernel code that made a fault", async () => {
    const { code, out } = await boot(machine, ["run hello"], ["--set", "break=fault"]);
    expect(out).toMatch(
      /^panic: the kernel made a fault\nthread .*\neip 0x(\w{8}) cs 0x00000019 .* error 0x00000002\n/m,
    );
    expect(out).toMatch(
      /^stack:\n {2}0x\w{8} os\/kernel\/epitaph\.ts:\d+\n {2}0x\w{8} os\/kernel\/objects\/services\.ts/m,
    );
    expect(out).toMatch(last);
    expect(code).toBe(125);
  });
});

it("a place for a program that is not started is refused by its name alone", async () => {
  const { code, out } = await boot("rialto", ["ps"], ["--place", "nosuch=kernel", "--set", "x=y"]);
  expect(out).toContain("place: etc/system starts no program called nosuch\n");
  expect(code).toBe(1);
});
