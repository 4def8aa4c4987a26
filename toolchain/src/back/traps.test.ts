/** Where wasm traps, the process gets the processor's own fault: divide error or invalid opcode. */
import { describe, expect, it } from "vitest";
import { compileModule } from "./compile.ts";
import { areaStart, canRunProcesses, plainFront, runInProcess, runInWasm } from "./testing/linux-process.ts";
import { encodeModule, signed } from "./testing/wasm-writer.ts";

const available = canRunProcesses();
if (!available) console.log("trap tests are skipped: this host runs no 32-bit i386 programs");

const f64 = (value: number) => [0x44, ...new Uint8Array(new Float64Array([value]).buffer)];
const f32 = (value: number) => [0x43, ...new Uint8Array(new Float32Array([value]).buffer)];
const i32 = (value: number) => [0x41, ...signed(value)];
const i64 = (value: bigint) => [0x42, ...signed(value)];
const leastLong = -(1n << 63n);

/** Name, operands, opcode, signal. */
const traps: ReadonlyArray<[string, number[], number[], string]> = [
  ["i32.div_s by zero", [...i32(1), ...i32(0)], [0x6d], "SIGFPE"],
  ["i32.div_u by zero", [...i32(1), ...i32(0)], [0x6e], "SIGFPE"],
  ["i32.rem_s by zero", [...i32(1), ...i32(0)], [0x6f], "SIGFPE"],
  ["i32.rem_u by zero", [...i32(1), ...i32(0)], [0x70], "SIGFPE"],
  ["i32.div_s overflow", [...i32(-0x80000000), ...i32(-1)], [0x6d], "SIGFPE"],
  ["i64.div_s by zero", [...i64(1n), ...i64(0n)], [0x7f], "SIGFPE"],
  ["i64.div_u by zero", [...i64(1n), ...i64(0n)], [0x80], "SIGFPE"],
  ["i64.rem_s by zero", [...i64(1n), ...i64(0n)], [0x81], "SIGFPE"],
  ["i64.rem_u by zero", [...i64(1n), ...i64(0n)], [0x82], "SIGFPE"],
  ["i64.div_s overflow", [...i64(leastLong), ...i64(-1n)], [0x7f], "SIGFPE"],
  ["i32.trunc_f64_s of NaN", f64(Number.NaN), [0xaa], "SIGILL"],
  ["i32.trunc_f64_s above", f64(2147483648), [0xaa], "SIGILL"],
  ["i32.trunc_f64_s below", f64(-2147483649), [0xaa], "SIGILL"],
  ["i32.trunc_f32_u below", f32(-1), [0xa9], "SIGILL"],
  ["i32.trunc_f64_u above", f64(4294967296), [0xab], "SIGILL"],
  ["i64.trunc_f64_s above", f64(2 ** 63), [0xb0], "SIGILL"],
  ["i64.trunc_f64_s infinite", f64(-Infinity), [0xb0], "SIGILL"],
  ["i64.trunc_f64_u above", f64(2 ** 64), [0xb1], "SIGILL"],
  ["i64.trunc_f64_u of NaN", f64(Number.NaN), [0xb1], "SIGILL"],
  ["i64.trunc_f32_u below", f32(-1), [0xaf], "SIGILL"],
];

describe.skipIf(!available)("traps", () => {
  it.each(traps)("%s", (_, operands, opcode, signal) => {
    // The result is not used: the trap must happen all the same.
    const wasm = encodeModule({
      functions: [{ name: "test", exported: true, body: [...operands, ...opcode, 0x1a] }],
    });
    expect(runInWasm(wasm)).toBeUndefined();
    expect(runInProcess(compileModule(plainFront(wasm))).signal).toBe(signal);
  });

  it("unreachable", () => {
    const wasm = encodeModule({ functions: [{ name: "test", exported: true, body: [0x00] }] });
    expect(runInProcess(compileModule(plainFront(wasm))).signal).toBe("SIGILL");
  });

  it("does not happen for the remainder by -1", () => {
    const body = [
      ...i32(areaStart),
      ...i32(areaStart),
      0x28,
      2,
      0,
      ...i32(areaStart),
      0x28,
      2,
      4,
      0x6f,
      0x36,
      2,
      8,
    ];
    const bytes = new Uint8Array(new Int32Array([-0x80000000, -1]).buffer);
    const wasm = encodeModule({
      functions: [{ name: "test", exported: true, body }],
      data: { address: areaStart, bytes },
    });
    const { area } = runInProcess(compileModule(plainFront(wasm)));
    expect(area!.slice(8, 12)).toEqual(new Uint8Array(4));
  });
});
