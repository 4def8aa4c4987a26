/** The reader of the kernel's classes against the TypeScript compiler's own view of them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import {
  fieldOffsets,
  KERNEL_SOURCES,
  type KernelSourceName,
  type KernelSources,
  readKernelLayout,
} from "./layout.ts";

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
    const sizes: Readonly<Record<string, number>> = { u8: 1, u16: 2, u64: 8, i64: 8, f64: 8 };
    const size = sizes[member.type!.getText()] ?? 4;
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
  ["processor", "TaskState"],
  ["threadObjects", "ThreadObject"],
  ["callRecords", "CallRecord"],
  ["handles", "Handle"],
  ["descriptors", "Interface"],
  ["descriptors", "Method"],
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
    const names = Object.keys(KERNEL_SOURCES) as KernelSourceName[];
    const layout = readKernelLayout(
      Object.fromEntries(names.map((name) => [name, read(name)])) as KernelSources,
    );
    expect(layout.threadStates.get(layout.running)).toBe("running");
    expect([...layout.processStates.values()]).toEqual(["running", "ending", "ended"]);
    expect(layout.kernelBase).toBe(2 ** 30);
    expect(layout.vectors.systemCall).toBe(0x30);
    expect(layout.privateTraps.get(0x1b)).toBe("await answer");
    expect(layout.method("flags")).toBe(12);
    const { page, threadExit, serverReturn } = layout.proxies;
    // As i386/proxies.asm.ts draws the page.
    expect([threadExit - page, serverReturn - page]).toEqual([2048, 2064]);
    expect(() => layout.thread("nothing")).toThrow(/Thread has no field nothing/);
    expect(() => fieldOffsets("", "Thread")).toThrow(/no class Thread/);
  });
});
