import { describe, expect, it } from "vitest";
import { argumentChecks } from "./arguments.ts";

const service = (method: string, more = "", path = "os/services/x/x.ts") =>
  argumentChecks(path, `@unmanaged class X extends ComObject implements IX { ${method} }\n${more}`);

describe("the law that services do not check pointers", () => {
  it.each([
    ["null", "read(buffer: OutBytes, size: u32): i32 { if (buffer === 0) return E_POINTER; return 0; }"],
    ["a bound", "read(out: Out<u32>): i32 { return <u32>out < 0x80000000 ? 0 : 1; }"],
    ["a bare test", "read(text: InString): i32 { if (!text) return 1; return 0; }"],
    ["alignment", "read(point: In<P>): i32 { return (point & 3) !== 0 ? 1 : 0; }"],
  ])("finds a test for %s", (_, method) => {
    expect(service(method)).toHaveLength(1);
  });

  it("follows a pointer into a function of the file", () => {
    const found = service(
      "read(out: Out<u32>): i32 { return fill(out); }",
      "function fill(at: usize): i32 {\n  if (at > 5) return 1;\n  return 0;\n}",
    );
    expect(found).toEqual([{ line: 3, what: "the pointer argument at is tested" }]);
  });

  it("knows the names of the call path's business, which the kernel may use", () => {
    expect(service("", "const most = USER_END;")).toHaveLength(1);
    expect(service("", "probeForWrite(1, 2);")).toHaveLength(1);
    expect(service("", "const most = USER_END;", "os/kernel/x.ts")).toHaveLength(0);
  });

  it("takes values, sizes and uses for what they are", () => {
    const method =
      "read(buffer: OutBytes, size: u32, count: Out<u32>): i32 { if (size > 5) return 1; store<u32>(count, load<u8>(buffer)); if (load<u32>(count) === 3) return 2; return 0; }";
    expect(service(method)).toEqual([]);
  });
});
