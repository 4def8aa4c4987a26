/** The reader of the kernel's classes against the TypeScript compiler's own view of them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { fieldOffsets, KERNEL_SOURCES, type KernelSourceName, readKernelLayout } from "./layout.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (name: KernelSourceName) => readFileSync(`${root}${KERNEL_SOURCES[name]}`, "utf8");

/** Offsets by os/README.md's rules, from the syntax tree. */
function expected(name: KernelSourceName, className: string): [string, number][] {
  const file = ts.createSourceFile(name, read(name), ts.ScriptTarget.ES2022, true);
  const found = file.statements.find(
    (statement): statement is ts.ClassDeclaration =>
      ts.isClassDeclaration(statement) && statement.name?.text === className,
  )!;
  let offset = found.heritageClauses?.some((clause) => clause.getText().includes("ComObject")) ? 8 : 0;
  return found.members.filter(ts.isPropertyDeclaration).map((member) => {
    const size = ["u64", "i64", "f64"].includes(member.type!.getText()) ? 8 : 4;
    offset = Math.ceil(offset / size) * size;
    const entry: [string, number] = [member.name.getText(), offset];
    offset += size;
    return entry;
  });
}

const CLASSES = [
  ["thread", "Thread"],
  ["process", "Process"],
  ["images", "LoadedImage"],
  ["imageFile", "ImageFile"],
  ["directory", "Directory"],
] as const;

describe("records of the kernel", () => {
  it.each(CLASSES)("%s: every field of %s lies where the compiler puts it", (name, className) => {
    const offsets = [...fieldOffsets(read(name), className)];
    expect(offsets).toEqual(expected(name, className));
    expect(offsets.length).toBeGreaterThan(0);
  });

  it("the saved context is in the order of the entry stubs", () => {
    const offsets = fieldOffsets(read("thread"), "Thread");
    const drawn = {
      edi: 0,
      eax: 28,
      es: 32,
      ds: 36,
      vector: 40,
      error: 44,
      eip: 48,
      cs: 52,
      eflags: 56,
      ss: 64,
    };
    for (const [field, offset] of Object.entries(drawn)) expect(offsets.get(field), field).toBe(offset);
  });

  it("names states and fields, and says what is missing", () => {
    const layout = readKernelLayout({
      thread: read("thread"),
      process: read("process"),
      images: read("images"),
      imageFile: read("imageFile"),
      directory: read("directory"),
      layout: read("layout"),
      proxies: read("proxies"),
      proxyStubs: read("proxyStubs"),
    });
    expect(layout.threadStates.get(layout.running)).toBe("running");
    expect([...layout.processStates.values()]).toEqual(["running", "ending", "ended"]);
    expect(layout.kernelBase).toBe(2 ** 30);
    const { page, threadExit, serverReturn } = layout.proxies;
    // As i386/proxies.asm.ts draws the page.
    expect([threadExit - page, serverReturn - page]).toEqual([2048, 2064]);
    expect(() => layout.thread("nothing")).toThrow(/Thread has no field nothing/);
    expect(() => fieldOffsets("", "Thread")).toThrow(/no class Thread/);
  });
});
