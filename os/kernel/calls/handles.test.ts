/** The handle table against a model, run in Node: counts, identity, reuse, and exactly one reference for each live entry. */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  compileKernel,
  type RunningGuest,
  readRepositoryFile,
  runGuest,
} from "../../../toolchain/src/front/testing.ts";

const main = `
import { IFile } from "../interfaces/IFile";
import { HandleTable, Handle, createHandleTable, destroyHandleTable, insertHandle, pinHandle, unpinHandle, addHandleReference, releaseHandle, handleAt, revokeHandle, revokedCalls } from "./calls/handles";
import type { HRESULT, Out, OutBytes, u32 } from "../interfaces/types";
@unmanaged
class Thing extends ComObject implements IFile {
  length(bytes: Out<u32>): HRESULT { return 0; }
  read(offset: u32, buffer: OutBytes, size: u32, count: Out<u32>): HRESULT { return 0; }
}
let table: HandleTable = changetype<HandleTable>(0);
export function more(): void { memory.grow(1024); }
export function reset(): void { table = createHandleTable()!; }
export function makeThing(): usize { return changetype<usize>(newObject<Thing>()); }
export function references(thing: usize): u32 { return changetype<Thing>(thing).references; }
export function vtable(thing: usize): usize { return load<usize>(thing); }
/** Gives away a new reference. */
export function insert(thing: usize, descriptor: usize): i32 {
  changetype<Thing>(thing).addRef();
  const handle = insertHandle(table, thing, descriptor);
  return handle ? handle.index : -1;
}
export function pin(index: u32): usize { return changetype<usize>(pinHandle(table, index)); }
export function unpin(handle: usize): void { unpinHandle(table, changetype<Handle>(handle)); }
export function addRef(index: u32): u32 { const handle = handleAt(table, index); return handle ? addHandleReference(handle) : 0; }
export function release(index: u32): i32 { const handle = handleAt(table, index); return handle ? releaseHandle(table, handle) : -1; }
export function live(): u32 { return table.live; }
export function revoke(start: usize, end: usize, substitute: usize): usize {
  const from = stackAlloc(4);
  store<u32>(from, 0);
  return revokeHandle(table, start, end, substitute, from);
}
export function busyRevoked(): u32 { return revokedCalls(table); }
export function destroy(): void { destroyHandleTable(table); }
`;

const stubs = {
  "os/kernel/threads/mutex.ts":
    "@unmanaged export class Mutex { state: u32; acquire(): void { assert(this.state == 0); this.state = 1; } release(): void { this.state = 0; } }",
  "os/kernel/i386/critical.ts":
    "export function enterCritical(): u32 { return 0; } export function leaveCritical(flags: u32): void {}",
  "os/kernel/objects/live.ts":
    "export const LIVE_HANDLES: u32 = 2; export function countLive(kind: u32, change: i32): void {}",
  "os/kernel/calls/proxies.ts": "export const MAX_HANDLES: u32 = 8192;",
};

let guest: RunningGuest;

beforeAll(async () => {
  const files = { ...stubs, "os/kernel/calls/handles.ts": readRepositoryFile("os/kernel/calls/handles.ts")! };
  const nothing = (): void => {};
  guest = await runGuest(await compileKernel(main, files), {
    intrinsic: { disableInterrupts: nothing, enableInterrupts: nothing },
  });
  // The tests' heap never frees.
  guest.exports.more!();
});

interface Entry {
  thing: number;
  descriptor: number;
  count: number;
  pins: number[];
}

describe("handle table", () => {
  it("keeps counts and identity, and one reference for each live entry", () => {
    const operation = fc.record({
      kind: fc.constantFrom("insert", "insert", "insert", "addRef", "release", "release", "pin", "unpin"),
      thing: fc.nat(7),
      descriptor: fc.nat(2),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 120 }), (operations) => {
        guest.exports.reset!();
        const things = Array.from({ length: 8 }, () => guest.exports.makeThing!());
        const entries = new Map<number, Entry>();
        for (const { kind, thing, descriptor, pick } of operations) {
          const indices = [...entries.keys()];
          const index = indices[pick % (indices.length || 1)] ?? 5;
          const entry = entries.get(index);
          if (kind === "insert") {
            const got = guest.exports.insert!(things[thing]!, 0x1000 + descriptor * 16);
            const known = indices.find((other) => {
              const candidate = entries.get(other)!;
              return candidate.thing === thing && candidate.descriptor === descriptor;
            });
            if (known === undefined) {
              expect(entries.has(got)).toBe(false);
              entries.set(got, { thing, descriptor, count: 1, pins: [] });
            } else {
              expect(got).toBe(known);
              entries.get(known)!.count++;
            }
          } else if (kind === "addRef") {
            const alive = entry !== undefined && entry.count > 0;
            expect(guest.exports.addRef!(index)).toBe(alive ? ++entry.count : 0);
          } else if (kind === "release") {
            const alive = entry !== undefined && entry.count > 0;
            expect(guest.exports.release!(index)).toBe(alive ? --entry.count : -1);
          } else if (kind === "pin") {
            const handle = guest.exports.pin!(index);
            expect(handle !== 0).toBe(entry !== undefined && entry.count > 0);
            if (handle !== 0) entry!.pins.push(handle);
          } else if (entry && entry.pins.length > 0) guest.exports.unpin!(entry.pins.pop()!);
          if (entry && entry.count === 0 && entry.pins.length === 0) entries.delete(index);
          expect(guest.exports.live!()).toBe(entries.size);
          things.forEach((object, number) => {
            const held = [...entries.values()].filter((other) => other.thing === number).length;
            expect(guest.exports.references!(object)).toBe(1 + held);
          });
        }
        guest.exports.destroy!();
        for (const object of things) expect(guest.exports.references!(object)).toBe(1);
      }),
      { numRuns: 150 },
    );
  });

  it("holds 8192 different objects, finds each again, and refuses one more", () => {
    guest.exports.reset!();
    const thing = guest.exports.makeThing!();
    for (let index = 0; index < 8192; index++)
      expect(guest.exports.insert!(thing, 0x1000 + index)).toBe(index);
    expect(guest.exports.insert!(thing, 0x9000)).toBe(-1);
    expect(guest.exports.references!(thing)).toBe(8193);
    for (let index = 0; index < 8192; index += 61)
      expect(guest.exports.insert!(thing, 0x1000 + index)).toBe(index);
    expect(guest.exports.release!(4000)).toBe(0);
    expect(guest.exports.insert!(thing, 0x9000)).toBe(4000);
    guest.exports.destroy!();
    expect(guest.exports.references!(thing)).toBe(1);
  });

  it("revokes objects by vtable, once each, and counts the calls inside them", () => {
    guest.exports.reset!();
    const thing = guest.exports.makeThing!();
    const substitute = guest.exports.makeThing!();
    const vtable = guest.exports.vtable!(thing);
    const index = guest.exports.insert!(thing, 0x1000);
    const pin = guest.exports.pin!(index);
    expect(guest.exports.revoke!(vtable + 4, vtable + 8, substitute)).toBe(0);
    expect(guest.exports.revoke!(vtable, vtable + 4, substitute)).toBe(thing);
    expect(guest.exports.revoke!(vtable, vtable + 4, substitute)).toBe(0);
    expect(guest.exports.busyRevoked!()).toBe(1);
    guest.exports.unpin!(pin);
    expect(guest.exports.busyRevoked!()).toBe(0);
  });
});
