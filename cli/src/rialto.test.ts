/** The command as a user starts it: exit codes, messages, streams. Kernels are assembled here. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { al, dword, dx, eax, ebx, symbol } from "@rialto/machine/i386/assembly.ts";
import { KernelWriter, SERIAL_PORT } from "@rialto/machine/test/kernel-writer.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const RIALTO = fileURLToPath(new URL("../bin/rialto.mjs", import.meta.url));
let folder = "";

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `rialto` in a folder of its own, with this standard input (nothing by default). */
function rialto(args: readonly string[], input: string | undefined = ""): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RIALTO, ...args], { cwd: folder, stdio: "pipe" });
    let [out, err] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      err += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
    child.stdin.on("error", () => {}); // the guest may end before it has read everything
    child.stdin.end(input);
  });
}

function kernel(name: string, write: (kernel: KernelWriter) => void): void {
  const writer = new KernelWriter();
  write(writer);
  writeFileSync(join(folder, name), writer.finish());
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rialto-cli-"));
  // A tsconfig.json of the user's must not matter.
  writeFileSync(join(folder, "tsconfig.json"), "{ not even JSON");
  kernel("hello.elf", (k) => {
    k.print("hello\n");
    k.endWith(3);
  });
  kernel("crash.elf", ({ a }) => a.emit("int3"));
  kernel("halt.elf", ({ a }) => {
    a.emit("cli");
    a.emit("hlt");
  });
  kernel("command-line.elf", (k) => {
    k.a.emit("pop", ebx);
    k.a.emit("push", ebx);
    k.a.emit("mov", ebx, dword({ base: ebx, displacement: 16 }));
    k.a.emit("call", symbol("printText"));
    k.print("|");
    k.a.emit("pop", ebx);
    k.a.emit("mov", ebx, dword({ base: ebx, displacement: 24 }));
    k.a.emit("mov", ebx, dword({ base: ebx, displacement: 8 }));
    k.a.emit("call", symbol("printText"));
    k.a.emit("mov", dx, 0x604);
    k.a.emit("mov", eax, 0x2000);
    k.a.emit("out", dx, { kind: "register", class: "r16", number: 0, name: "ax" });
  });
  kernel("echo.elf", (k) => {
    const again = k.a.newLabel();
    k.a.place(again);
    k.inByte(SERIAL_PORT + 5);
    k.a.emit("test", al, 1);
    k.a.emit("jz", again);
    k.inByte(SERIAL_PORT);
    k.a.emit("cmp", al, ".".charCodeAt(0));
    k.a.emit("jz", symbol("done"));
    k.a.emit("call", symbol("printByte"));
    k.a.emit("jmp", again);
    k.a.label("done");
    k.endWith(0);
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("rialto machine", () => {
  it("boots a kernel from any folder and exits with its status", async () => {
    expect(await rialto(["machine", "hello.elf"])).toEqual({ code: 7, out: "hello\n", err: "" });
  });

  it("gives the kernel its command line and modules", async () => {
    writeFileSync(join(folder, "disk.img"), "abc");
    const flags = ["--append", "quiet", "--module", "disk.img archive"];
    expect(await rialto(["machine", "command-line.elf", ...flags])).toEqual({
      code: 0,
      out: "command-line.elf quiet|disk.img archive",
      err: "",
    });
  });

  it("sends standard input to the guest", async () => {
    expect(await rialto(["machine", "echo.elf"], "to and fro.")).toEqual({
      code: 1,
      out: "to and fro",
      err: "",
    });
  });

  it("writes statistics", async () => {
    await rialto(["machine", "hello.elf", "--stats", "stats.json"]);
    const stats = JSON.parse(readFileSync(join(folder, "stats.json"), "utf8")) as Record<string, unknown>;
    expect(stats).toMatchObject({ model: "fast", frequency: 75_000_000, memory: 16 * 2 ** 20 });
    expect(stats.instructions).toBeGreaterThan(50);
  });

  it("says so when the guest crashes or halts", async () => {
    expect(await rialto(["machine", "crash.elf"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("triple fault") as string,
    });
    expect(await rialto(["machine", "halt.elf"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("halted") as string,
    });
  });
});

describe("mistakes", () => {
  it.each<[string, string[], number, RegExp]>([
    ["no such kernel", ["machine", "nope.elf"], 1, /nope\.elf: no such file/],
    ["not a kernel", ["machine", "tsconfig.json"], 1, /not a multiboot kernel/],
    ["a folder", ["machine", "."], 1, /it is a folder/],
    ["no such module", ["machine", "hello.elf", "--module", "gone x"], 1, /module gone: no such file/],
    ["too little memory", ["machine", "hello.elf", "--memory", "1M"], 2, /2M to 2G/],
    ["not a size", ["machine", "hello.elf", "--memory", "lots"], 2, /not a size/],
    ["unknown command", ["machin"], 2, /Did you mean 'machine'\?/],
    ["help of an unknown command", ["help", "machin"], 2, /Did you mean 'machine'\?/],
    ["unknown option", ["machine", "hello.elf", "--memry", "3"], 2, /Did you mean --memory\?/],
    ["missing argument", ["machine"], 2, /rialto machine --help/],
    ["unwritable statistics", ["machine", "hello.elf", "--stats", "no/where"], 1, /cannot write statistics/],
  ])("%s", async (_name, args, code, message) => {
    const run = await rialto(args);
    expect(run.err).toMatch(message);
    expect(run.err).not.toMatch(/^\s+at /m);
    expect(run.code).toBe(code);
    expect(run.out).toBe("");
  });
});

describe("help", () => {
  it("lists the commands", async () => {
    const { code, out } = await rialto(["--help"]);
    expect(code).toBe(0);
    expect(out).toMatch(/machine \[options\] <kernel>/);
  });
});
