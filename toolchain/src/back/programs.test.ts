/**
 * Whole AssemblyScript functions, unoptimised and optimised by Binaryen: control flow, register pressure, calls, memory.
 * Results in the shared area must equal those of the same wasm in Node.
 */
import { describe, expect, it } from "vitest";
import { compileModule } from "./compile.ts";
import { verify } from "./ir/verify.ts";
import { compileSource, dataStart } from "./testing/assemblyscript.ts";
import { areaStart, canRunProcesses, plainFront, runInProcess, runInWasm } from "./testing/linux-process.ts";

const available = canRunProcesses();
if (!available) console.log("program tests are skipped: this host runs no 32-bit i386 programs");

const out = (n: number) => `0x${(areaStart + 8 * n).toString(16)}`;

/** Name, source. Every program exports `test`. */
const programs: Record<string, string> = {
  "recursion and globals": `
    let calls: i32 = 0; let total: i64 = 5; let ratio: f64 = 1.5; let small: f32 = 0.25;
    function fib(n: i32): i32 { calls++; return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    function ack(m: i32, n: i32): i32 {
      return m == 0 ? n + 1 : n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1));
    }
    export function test(): void {
      store<i32>(${out(0)}, fib(18)); store<i32>(${out(1)}, calls); store<i32>(${out(2)}, ack(2, 9));
      total += calls; total *= total; ratio /= <f64>total; small -= <f32>ratio;
      store<i64>(${out(3)}, total); store<f64>(${out(4)}, ratio); store<f32>(${out(5)}, small);
    }`,
  "swaps in loops": `
    export function test(): void {
      let a: i32 = 1, b: i32 = 2, c: i32 = 3;
      let x: f64 = 1, y: f64 = 2, z: f64 = 3;
      let p: i64 = 1 << 40, q: i64 = -7;
      for (let i = 0; i < 1000; i++) {
        let t = a; a = b; b = c; c = t ^ i;
        let u = x; x = y; y = z; z = u + 0.125;
        let v = p; p = q; q = v + i;
      }
      store<i32>(${out(0)}, a); store<i32>(${out(1)}, b); store<i32>(${out(2)}, c);
      store<f64>(${out(3)}, x); store<f64>(${out(4)}, y); store<f64>(${out(5)}, z);
      store<i64>(${out(6)}, p); store<i64>(${out(7)}, q);
    }`,
  "register pressure": `
    function mix(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32): i32 {
      for (let i = 0; i < 20; i++) {
        a += b * c; b ^= a >> 3; c -= d << (i & 7); d |= e & a; e = (e << 5) | (e >>> 27); f += load<u8>(${out(0)} + (a & 255));
        g = g * 33 + f; h ^= g % (i + 1); a = rotl(a, h); b = b / (c | 1); c += u32(d) % 10; d ^= clz(e) + ctz(f) + popcnt(g);
      }
      return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
    }
    function mixLong(a: i64, b: i64, c: i64, d: i64): i64 {
      for (let i: i64 = 0; i < 20; i++) {
        a += b * c; b = rotl(b, a) ^ i; c -= d >> (i & 63); d = d / (a | 1) + u64(b) % 1000; a ^= u64(c) >> (b & 63); c = c << i;
        if (a < b) { let t = a; a = d; d = t; } else if (u64(c) > u64(d)) b = -b;
      }
      return a ^ b ^ c ^ d;
    }
    export function test(): void {
      for (let i = 0; i < 256; i++) store<u8>(${out(0)} + i, i * 7);
      for (let i = 0; i < 50; i++) {
        store<i32>(${out(100)} + 8 * i, mix(i, i * i, 3, -i, i << 20, 77, 0x12345678, -1));
        store<i64>(${out(200)} + 8 * i, mixLong(i, -i * 1000000007, 0x123456789abcdef, i64(i) << 33));
      }
    }`,
  "switches and nested control": `
    function pick(n: i32): i32 {
      switch (n) {
        case 0: return 10; case 1: return 21; case 2: case 3: n += 5; break; case 4: n *= 3;
        case 5: n -= 100; break; case 7: return n | 64; case 9: { while (n < 50) n += 7; break; }
        default: n = -n;
      }
      return n;
    }
    function collatz(n: i32): i32 { let steps = 0; while (n != 1) { n = n & 1 ? 3 * n + 1 : n >> 1; if (++steps > 500) break; } return steps; }
    function primes(limit: i32): i32 {
      let count = 0;
      for (let i = 2; i < limit; i++) {
        let prime = true;
        for (let j = 2; j * j <= i; j++) { if (i % j == 0) { prime = false; break; } }
        if (prime) count++;
      }
      return count;
    }
    function early(a: i32, b: i32): i32 {
      do { if (a == b) return 1; if ((a ^ b) & 8) { if (a > 100) break; a += 9; continue; } a += 3; } while (a < 1000);
      return a;
    }
    export function test(): void {
      for (let i = -3; i < 15; i++) store<i32>(${out(10)} + 8 * i, pick(i));
      for (let i = 1; i < 40; i++) store<i32>(${out(50)} + 8 * i, collatz(i));
      store<i32>(${out(100)}, primes(2000));
      for (let i = 0; i < 40; i++) store<i32>(${out(110)} + 8 * i, early(i, i * i - 7));
    }`,
  floats: `
    function horner(x: f64): f64 { return ((((x * 0.3 - 1.7) * x + 2.2) * x - 9.1) * x + 0.001) / (x * x + 1); }
    function single(x: f32, n: i32): f32 { let s: f32 = x; for (let i = 1; i < n; i++) { s = s * x + <f32>i / s; if (s > 1e30) s = 1e-3; } return s; }
    function select(a: f64, b: f64): f64 { return a < b ? a : b > 3 ? b - a : -a; }
    function tiny(n: i32): f64 { let x: f64 = 1; for (let i = 0; i < n; i++) x *= 0.37; return x; }
    function mean(p: usize, n: i32): f64 { let s = 0.0; for (let i = 0; i < n; i++) s += load<f64>(p + 8 * i); return s / n; }
    export function test(): void {
      for (let i = 0; i < 60; i++) {
        store<f64>(${out(0)} + 8 * i, horner(<f64>i * 0.77 - 20));
        store<f32>(${out(100)} + 8 * i, single(<f32>i * 0.1 - 2, i));
        store<f64>(${out(200)} + 8 * i, select(<f64>i, 7.5));
        store<f64>(${out(300)} + 8 * i, tiny(700 + i));
        store<f64>(${out(400)} + 8 * i, nearest(<f64>i / 4 - 7) + floor(<f64>i / 3) * ceil(<f64>-i / 7) + Math.sqrt(i));
        store<i32>(${out(500)} + 8 * i, <i32>(<f64>i * 1e7 - 3e8)); store<u64>(${out(600)} + 8 * i, <u64>(<f64>i * 3e17));
        store<f64>(${out(700)} + 8 * i, max(<f64>i, 30) - min(<f64>-i, -20) + copysign(<f64>i, i & 1 ? -1.0 : 1.0));
        store<i64>(${out(800)} + 8 * i, reinterpret<i64>(<f64>i) ^ reinterpret<i32>(<f32>i));
      }
      store<f64>(${out(900)}, mean(${out(200)}, 60));
    }`,
  memory: `
    const table = memory.data<i32>([3, 1, 4, 1, 5, 9, 2, 6]);
    @unmanaged class Node { next: Node | null; key: i32; weight: f64; tag: u8; flag: i16; }
    function insert(head: Node | null, at: usize, key: i32): Node {
      const n = changetype<Node>(at); n.key = key; n.next = head; n.weight = key * 0.5; n.tag = <u8>key; n.flag = <i16>(key * -300);
      return n;
    }
    function sum(head: Node | null): f64 {
      let s: f64 = 0; for (let n = head; n; n = n!.next) s += n.weight * n.key + n.tag - n.flag; return s;
    }
    function sort(p: usize, n: i32): void {
      for (let i = 1; i < n; i++) { let v = load<i32>(p + 4 * i), j = i - 1; while (j >= 0 && load<i32>(p + 4 * j) > v) { store<i32>(p + 4 * j + 4, load<i32>(p + 4 * j)); j--; } store<i32>(p + 4 * j + 4, v); }
    }
    function crc(p: usize, n: i32): u32 {
      let c: u32 = ~0; for (let i = 0; i < n; i++) { c ^= load<u8>(p + i); for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1; } return ~c;
    }
    export function test(): void {
      let head: Node | null = null;
      for (let i = 0; i < 30; i++) head = insert(head, ${out(100)} + 32 * i, i * 37 - 400);
      store<f64>(${out(0)}, sum(head));
      for (let i = 0; i < 200; i++) store<i32>(${out(1000)} + 4 * i, (i * 7919) % 1009 - 300);
      sort(${out(1000)}, 200);
      memory.copy(${out(1200)} + 3, ${out(1000)}, 777); memory.copy(${out(1200)} + 10, ${out(1200)}, 500);
      memory.copy(${out(1200)}, ${out(1200)} + 13, 600); memory.fill(${out(1300)} + 1, 0xa5, 67);
      store<u32>(${out(1)}, crc(${out(1000)}, 3000));
      for (let i = 0; i < 8; i++) store<i32>(${out(2)} + 8 * i, load<i32>(table + 4 * i) + load<i8>(${out(1000)} + i) + load<u16>(${out(1000)} + 2 * i) - load<i16>(${out(1001)} + i));
      store<u8>(${out(20)}, load<u8>(${out(20)}) + 200); store<u16>(${out(20)} + 2, load<u16>(${out(20)} + 2) - 5); store<i32>(${out(20)} + 4, load<i32>(${out(20)} + 4) ^ 0x55);
    }`,
};

const arguments_ = `
  function many(a: i32, b: i64, c: f32, d: f64, e: u8, f: bool, g: i64, h: f64): f64 {
    return a + <f64>b * 2 + c * 3 + d * 5 + e * 7 + (f ? 11 : 13) + <f64>(g >> 3) + h;
  }
  function pair(a: i64, b: i64): i64 { return a * b - (a ^ b); }
  function single(a: f32): f32 { return a * a; }
  export function test(): void {
    for (let i = 0; i < 40; i++) {
      store<f64>(${out(0)} + 8 * i, many(i, i64(i) * 1000000007, <f32>i * 0.3, <f64>i / 7, <u8>(i * 50), (i & 3) == 1, -i64(i) << 30, i));
      store<i64>(${out(100)} + 8 * i, pair(pair(i, i * i), i64(single(<f32>i) * 1000)));
    }
  }`;
programs["arguments of every type"] = arguments_;

describe.skipIf(!available).each(Object.entries(programs))("%s", (_, source) => {
  it.each([0, 1, 3] as const)("at -O%i", async (level) => {
    const wasm = await compileSource(source, level);
    const expected = runInWasm(wasm);
    expect(expected).toBeDefined();
    const front = plainFront(wasm, { memoryBase: dataStart, dataEnd: dataStart });
    const code = compileModule(front, { inspect: verify });
    const { area, signal } = runInProcess(code, dataStart);
    expect(signal).toBeUndefined();
    const difference = area!.findIndex((byte, n) => byte !== expected![n]);
    expect(difference < 0 ? "equal" : `differs at ${out(difference / 8)}`).toBe("equal");
  });
});
