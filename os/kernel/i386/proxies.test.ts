/** The page of proxies as the assembler makes it, against the addresses that the kernel's sources name. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Assembler } from "../../../machine/src/i386/assembler.ts";
import { assemble as assembleProxies } from "./proxies.asm.ts";
import { assemble as assembleRemoteStubs } from "./remote-stubs.asm.ts";

const PAGE = 0x3f000000;

function constant(file: string, name: string): number {
  const source = readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
  const value = new RegExp(`const ${name}: \\w+ = (0x[0-9a-f]+|\\d+);`).exec(source)?.[1];
  if (value === undefined) throw new Error(`${file} has no constant ${name}`);
  return Number(value);
}

function assembled(assemble: (a: Assembler) => void, label: string) {
  const assembler = new Assembler();
  assemble(assembler);
  const code = assembler.finish();
  return { bytes: code.text.subarray(code.symbols.get(label)!), symbols: code.symbols };
}

describe("page of proxies", () => {
  const { bytes } = assembled(assembleProxies, "proxyPage");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const at = (offset: number, length: number) => [...bytes.subarray(offset, offset + length)];

  it("has a stub for each method and its address in the vtable", () => {
    const vtable = constant("calls/proxies.ts", "PROXY_VTABLE") - PAGE;
    for (let method = 0; method < constant("calls/proxies.ts", "MAX_METHODS"); method++) {
      const address = view.getUint32(vtable + 4 * method, true);
      expect(at(address - PAGE, 8)).toEqual([0xb8, method, 0, 0, 0, 0xcd, 0x30, 0xc3]);
    }
  });

  it("has the two places that functions return to where the kernel says", () => {
    const exit = constant("threads/thread.ts", "USER_THREAD_EXIT") - PAGE;
    expect(at(exit, 9)).toEqual([0x89, 0xc1, 0xb8, 3, 0, 0, 0, 0xcd, 0x31]);
    const serverReturn = constant("calls/proxies.ts", "SERVER_RETURN_STUB") - PAGE;
    expect(at(serverReturn, 2)).toEqual([0xcd, 0x32]);
    expect(constant("calls/proxies.ts", "PAGE_CONTENTS")).toBeGreaterThanOrEqual(serverReturn + 2);
  });
});

describe("stubs of RemoteProxy", () => {
  it("are as far apart as the kernel thinks", () => {
    const { bytes } = assembled(assembleRemoteStubs, "remoteStubs");
    const size = constant("calls/remote.ts", "STUB_SIZE");
    for (let method = 0; method < 64; method++) {
      expect([...bytes.subarray(method * size, method * size + 5)]).toEqual([0xb8, method, 0, 0, 0]);
    }
  });
});
