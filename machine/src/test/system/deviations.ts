/**
 * Where the oracles differ from the manual, check by check. A check that is not listed must give the manual's result on every
 * machine; one that is listed must give the result stated here, so that a new version of an oracle that does better is noticed.
 */

export interface Deviation {
  /** Undefined where the result depends on what happens to lie in memory: then it must only differ from the manual's. */
  readonly result: string | undefined;
  readonly reason: string;
}

const NO_LIMITS =
  "QEMU checks no limits of code, data and stack segments on accesses, pushes and near branches";
const NO_TYPES = "QEMU checks neither types nor null selectors on accesses";
const NO_ALIGNMENT = "QEMU has no alignment check";
const READS_FIRST = "QEMU reads before it checks write rights in a read-modify-write";
const NEW_TASK_EIP = "QEMU keeps the old EIP when the new task's segments fault";
const STACK_ABSENT = "QEMU raises #TS for an absent inner stack";
const ABSENT_ON_RETURN =
  "raises #NP for an absent SS on the way out, where the manual's pseudo-code says #SS";
const NO_GENERAL_DETECT = "QEMU ignores DR7.GD";

type Entry = [name: string, deviation: Deviation];

const all = (names: readonly string[], result: string | undefined, reason: string): Entry[] =>
  names.map((name) => [name, { result, reason }]);

const sizes = [1, 2, 4];

export const deviations: Readonly<Record<"qemu" | "bochs", ReadonlyMap<string, Deviation>>> = {
  bochs: new Map(all(["iretd.stackAbsent"], "#0b(0098)", `Bochs ${ABSENT_ON_RETURN}`)),
  qemu: new Map([
    ...all(
      sizes.flatMap((size) => [`limit.read${size}.beyond`, `limit.write${size}.beyond`]),
      "ok",
      NO_LIMITS,
    ),
    ...all(["expandDown.below", "expandDown.straddle", "cmpxchg8b.limit"], "ok", NO_LIMITS),
    ...all(["stack.beyond", "stack.pop.beyond", "string.segment", "string.partial"], "ok", NO_LIMITS),
    ...all(["pusha.fault", "gate.offset", "gate.stackRoom"], "ok", NO_LIMITS),
    ...all(["callGate.parameterFault"], "ok; 8 10 330fe0", NO_LIMITS),
    ...all(["iretd.offset", "jmp.limit", "call.limit", "ret.limit", "fetch.limit"], undefined, NO_LIMITS),
    ...all(["readOnly.write", "null.read", "null.rpl3.write", "code.write"], "ok", NO_TYPES),
    ...all(["modify.readOnly", "cmpxchg.readOnly"], "ok", NO_TYPES),
    ...all(["ltr.null"], "ok", "QEMU loads a null TR"),
    ...all(["gate.stackAbsent"], "#0a(0098) r3", STACK_ABSENT),
    ...all(["iretd.stackAbsent"], "#0b(0098)", `QEMU ${ABSENT_ON_RETURN}`),
    ...all(["paging.absent.modify"], "#0e(0000) [00310000]", READS_FIRST),
    ...all(["paging.cmpxchg8b"], "#0e(0000) [00311000]", READS_FIRST),
    ...all(["paging.invalidCr0"], "ok", "QEMU accepts CR0.NW without CD"),
    ...all(["task.gate.restart"], "ok; 0 5555", NO_TYPES),
    ...all(["task.trap"], "ok", "QEMU ignores T in a TSS"),
    ...all(["task.interrupt.local"], "#0a(000c)", "QEMU raises #TS for a task gate that names an LDT"),
    ...all(
      [
        ...["ssNull", "ssOutside", "ssDpl", "ssAbsent", "csData", "csNull", "csAbsent"],
        ...["dsAbsent", "dsSystem", "esOutside", "ldt"],
      ].map((name) => `task.new.${name}`),
      undefined,
      NEW_TASK_EIP,
    ),
    ...all(["double.benign"], "#0b(0032)", "QEMU leaves EXT clear for faults of a delivery"),
    ...all(["int1"], undefined, "QEMU does not deliver #DB for opcode F1"),
    ...all(["break.generalDetect"], undefined, NO_GENERAL_DETECT),
    ...all(["align.dword", "align.dword2", "align.word"], "ok", NO_ALIGNMENT),
    ...all(["align.push"], "ok", NO_ALIGNMENT),
  ]),
};
