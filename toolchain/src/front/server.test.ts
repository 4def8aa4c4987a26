import { describe, expect, it } from "vitest";
import { compileKernel, failure, runGuest } from "./testing.ts";

describe("interfaces and servers", () => {
  const header = `
    import { IEcho } from "../interfaces/IEcho";
    import { IEchoCallback } from "../interfaces/IEchoCallback";
    import { IUnknown } from "../interfaces/IUnknown";
    import { S_OK, E_NOINTERFACE } from "../interfaces/results";
    import type { HRESULT, Out, In, u32 } from "../interfaces/types";
    import { balance } from "./memory/heap";
    export { balance };
  `;

  it("lets a client call a server through its vtable", async () => {
    const guest = await runGuest(
      await compileKernel(`${header}
        let finished: u32 = 0;
        @unmanaged
        class Counter extends ComObject implements IEchoCallback {
          total: u32 = 40;
          zero: u32 = 0;
          name: usize = text("counter"); // a note
          called(value: u32, answer: Out<u32>): HRESULT {
            this.total += value;
            store<u32>(answer, this.total);
            return S_OK;
          }
          finish(): void { finished = this.total; }
        }
        export function make(): usize { return changetype<usize>(interfaceOf<IEchoCallback>(newObject<Counter>())); }
        export function call(p: usize, value: u32): u32 {
          const answer = stackAlloc(4);
          return changetype<IEchoCallback>(p).called(value, answer) == S_OK ? load<u32>(answer) : 0;
        }
        export function nameOf(p: usize): usize { return changetype<Counter>(p).name; }
        export function query(p: usize, iid: u32, out: usize): i32 { return changetype<IEchoCallback>(p).queryInterface(iid, out); }
        export function addRef(p: usize): u32 { return changetype<IUnknown>(p).addRef(); }
        export function release(p: usize): u32 { return changetype<IUnknown>(p).release(); }
        export function ended(): u32 { return finished; }
        export function callbackId(): u32 { return IEchoCallback.IID; }
        export function echoId(): u32 { return IEcho.IID; }
        export function unknownId(): u32 { return IUnknown.IID; }`),
    );
    const { make, call, nameOf, query, addRef, release, ended, callbackId, echoId, unknownId, balance } =
      guest.exports;
    const object = make!();
    expect(guest.memory.getUint32(object + 4, true)).toBe(1);
    expect(call!(object, 2)).toBe(42);
    expect(call!(object, 8)).toBe(50);
    expect(guest.textAt(nameOf!(object))).toBe("counter");
    expect(addRef!(object)).toBe(2);
    const out = 0x60000;
    expect(query!(object, callbackId!(), out)).toBe(0);
    expect(guest.memory.getUint32(out, true)).toBe(object);
    expect(query!(object, unknownId!(), out)).toBe(0);
    guest.memory.setUint32(out, 99, true);
    expect(query!(object, echoId!(), out) >>> 0).toBe(0x80004002);
    expect(guest.memory.getUint32(out, true)).toBe(0);
    expect(release!(object)).toBe(3);
    expect(release!(object)).toBe(2);
    expect(release!(object)).toBe(1);
    expect([ended!(), balance!()]).toEqual([0, 1]);
    expect(release!(object)).toBe(0);
    expect([ended!(), balance!()]).toEqual([50, 0]);
  });

  it("adjusts `this` for further interfaces, and inherits servers", async () => {
    const guest = await runGuest(
      await compileKernel(
        `${header}
        import { IProcess } from "../interfaces/IProcess";
        import { Base } from "./base";
        @unmanaged
        class Derived extends Base implements IProcess {
          more: u32 = 1000;
          wait(exitCode: Out<i32>): HRESULT { store<i32>(exitCode, this.total + this.more); return S_OK; }
          kill(): HRESULT { this.total = 7; return S_OK; }
          identity(id: Out<u32>): HRESULT { store<u32>(id, this.id); return S_OK; }
        }
        export function make(): usize { return changetype<usize>(newObject<Derived>()); }
        export function asCallback(p: usize): usize { return changetype<usize>(interfaceOf<IEchoCallback>(changetype<Derived>(p))); }
        export function asProcess(p: usize): usize { return changetype<usize>(interfaceOf<IProcess>(changetype<Derived>(p))); }
        export function wait(p: usize): i32 { const out = stackAlloc(4); changetype<IProcess>(p).wait(out); return load<i32>(out); }
        export function kill(p: usize): void { changetype<IProcess>(p).kill(); }
        export function called(p: usize, v: u32): u32 { const out = stackAlloc(4); changetype<IEchoCallback>(p).called(v, out); return load<u32>(out); }
        export function query(p: usize, iid: u32): usize { const out = stackAlloc(4); return changetype<IUnknown>(p).queryInterface(iid, out) == 0 ? load<u32>(out) : 0; }
        export function references(p: usize): u32 { return changetype<Derived>(p).references; }
        export function release(p: usize): u32 { return changetype<IUnknown>(p).release(); }
        export function callbackId(): u32 { return IEchoCallback.IID; }
        export function processId(): u32 { return IProcess.IID; }
        export function unknownId(): u32 { return IUnknown.IID; }`,
        {
          "os/kernel/base.ts": `
          import type { IEchoCallback } from "../interfaces/IEchoCallback";
          import type { HRESULT, Out, u32 } from "../interfaces/types";
          @unmanaged
          export class Base extends ComObject implements IEchoCallback {
            id: u32 = 5;
            total: u32 = 100;
            called(value: u32, answer: Out<u32>): HRESULT { this.total += value; store<u32>(answer, this.total); return 0; }
          }`,
        },
      ),
    );
    const e = guest.exports;
    const object = e.make!();
    const callback = e.asCallback!(object);
    const process = e.asProcess!(object);
    expect(callback).toBe(object);
    expect(process).toBeGreaterThan(object + 8);
    expect(e.called!(callback, 11)).toBe(111);
    expect(e.wait!(process)).toBe(1111);
    e.kill!(process);
    expect(e.wait!(process)).toBe(1007);
    expect(e.query!(callback, e.processId!())).toBe(process);
    expect(e.query!(process, e.callbackId!())).toBe(callback);
    expect(e.query!(process, e.unknownId!())).toBe(object);
    expect(e.references!(object)).toBe(4);
    for (const left of [3, 2, 1, 0]) expect(e.release!(process)).toBe(left);
    expect(e.balance!()).toBe(0);
  });

  it("passes every kind of argument", async () => {
    const guest = await runGuest(
      await compileKernel(`${header}
        import { EchoPoint } from "../interfaces/IEcho";
        import type { InBytes, InOut, InString, OutBytes, i32, f64, u64 } from "../interfaces/types";
        @unmanaged class Answer extends ComObject implements IEchoCallback {
          called(value: u32, answer: Out<u32>): HRESULT { store<u32>(answer, value * 2); return S_OK; }
        }
        @unmanaged class Echo extends ComObject implements IEcho {
          nothing(): HRESULT { return S_OK; }
          add(a: i32, b: i32, sum: Out<i32>): HRESULT { store<i32>(sum, a + b); return S_OK; }
          wide(a: u64, b: f64, sum: Out<f64>): HRESULT { store<f64>(sum, <f64>a + b); return S_OK; }
          mirror(point: In<EchoPoint>, out: Out<EchoPoint>): HRESULT {
            const from = changetype<EchoPoint>(point); const to = changetype<EchoPoint>(out);
            to.x = -from.x; to.y = -from.y; to.weight = from.weight; return S_OK;
          }
          increment(value: InOut<u32>): HRESULT { store<u32>(value, load<u32>(value) + 1); return S_OK; }
          sum(buffer: InBytes, size: u32, sum: Out<u32>): HRESULT {
            let total: u32 = 0; for (let i: u32 = 0; i < size; i++) total += load<u8>(buffer + i);
            store<u32>(sum, total); return S_OK;
          }
          fill(first: u32, buffer: OutBytes, size: u32): HRESULT { for (let i: u32 = 0; i < size; i++) store<u8>(buffer + i, <u8>(first + i)); return S_OK; }
          length(text: InString, length: Out<u32>): HRESULT { let n: u32 = 0; while (load<u8>(text + n)) n++; store<u32>(length, n); return S_OK; }
          callBack(callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT { return callback.called(value, answer); }
          another(out: Out<IEcho>): HRESULT { store<usize>(out, changetype<usize>(interfaceOf<IEcho>(newObject<Echo>()))); return S_OK; }
          whereAmI(process: Out<u32>, ring: Out<u32>): HRESULT { store<u32>(process, 1); store<u32>(ring, codeSegment() & 3); return S_OK; }
          slow(milliseconds: u32): HRESULT { return S_OK; }
          quit(): HRESULT { return S_OK; }
          accept(buffer: InBytes, size: u32): HRESULT { return S_OK; }
          supply(buffer: OutBytes, size: u32): HRESULT { return S_OK; }
          probe(buffer: InBytes, size: u32): HRESULT { return S_OK; }
          count(calls: Out<u32>): HRESULT { return S_OK; }
          relay(next: IEcho, callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT { return S_OK; }
          pool(limit: u32, policy: u32): HRESULT { return S_OK; }
          leave(): HRESULT { return S_OK; }
        }
        export function check(): u32 {
          const out = stackAlloc(8);
          const first = interfaceOf<IEcho>(newObject<Echo>());
          if (first.another(out) != S_OK) return 1;
          const echo = changetype<IEcho>(load<usize>(out));
          if (echo.add(3, -5, out) != S_OK || load<i32>(out) != -2) return 2;
          if (echo.wide(1 << 40, 0.5, out) != S_OK || load<f64>(out) != 1099511627776.5) return 3;
          const point = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
          const image = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
          point.x = 3; point.y = -4; point.weight = 1.25;
          if (echo.mirror(changetype<usize>(point), changetype<usize>(image)) != S_OK || image.x != -3 || image.y != 4 || image.weight != 1.25) return 4;
          store<u32>(out, 41);
          if (echo.increment(out) != S_OK || load<u32>(out) != 42) return 5;
          const buffer = stackAlloc(16);
          if (echo.fill(250, buffer, 10) != S_OK || echo.sum(buffer, 10, out) != S_OK || load<u32>(out) != 1505 - 0 + 6 - 6 && load<u32>(out) != 1511) {
            let total: u32 = 0; for (let i: u32 = 0; i < 10; i++) total += (250 + i) & 255;
            if (load<u32>(out) != total) return 6;
          }
          if (echo.length(text("seven77"), out) != S_OK || load<u32>(out) != 7) return 7;
          if (echo.callBack(interfaceOf<IEchoCallback>(newObject<Answer>()), 21, out) != S_OK || load<u32>(out) != 42) return 8;
          return 0;
        }`),
      { intrinsic: { codeSegment: () => 3 } },
    );
    expect(guest.exports.check!()).toBe(0);
  });

  it("refuses what cannot work", async () => {
    const server = (body: string, clause = "implements IEchoCallback") => `${header}
@unmanaged class Bad extends ComObject ${clause} { ${body} }
export function f(): usize { return changetype<usize>(newObject<Bad>()); }`;
    const called = "called(value: u32, answer: Out<u32>): HRESULT { return S_OK; }";
    expect(await failure(compileKernel(server("")))).toMatch(
      /os\/kernel\/main\.ts:\d+:\d+: class Bad lacks method called of IEchoCallback/,
    );
    expect(await failure(compileKernel(server(`constructor() {} ${called}`)))).toMatch(/constructor/);
    expect(await failure(compileKernel(server(`release(): u32 { return 0; } ${called}`)))).toMatch(
      /supplied by ComObject/,
    );
    expect(await failure(compileKernel(server(called, "implements IMissing")))).toMatch(
      /IMissing is not an interface/,
    );
    expect(
      await failure(compileKernel(`${header}\nclass Plain implements IEchoCallback { ${called} }`)),
    ).toMatch(/must extend ComObject/);
    const wrong = server(called).replace("newObject<Bad>()", "interfaceOf<IEcho>(newObject<Bad>())");
    expect(await failure(compileKernel(wrong))).toMatch(/main\.ts:11:\d+: .*Bad does not implement IEcho/s);
  });
});
