/**
 * What a trap and its return cost, in cycles of the machine's models: the microbenchmark of Table 7-3 (§7.4), on the bare machine. A
 * loop makes the trap; what the loop itself takes was measured without it.
 *
 * Each is measured bare (INT, IRET), with the entry code that a handler needs, and with that when TLBs and caches are empty before
 * each trap. The entry code is that of Rialto's first level (os/kernel/i386/traps.asm.ts): general registers and data segments saved, the
 * kernel's loaded. A task gate needs none: the registers are in the task state.
 */
import { PentiumPc } from "../boards/pentium-pc.ts";
import { ds, ecx, es, esp, ss, symbol } from "../i386/assembly.ts";
import type { CycleModelName } from "../i386/cycles.ts";
import { Image, Selector } from "./system-images.ts";

export const TRAPS = ["task gate", "ring 3-0-3", "ring 1-0-1", "ring 0-0-0"] as const;
export type TrapName = (typeof TRAPS)[number];

export type TrapVariant = "bare" | "entry code" | "cold";

export interface TrapCost {
  readonly trap: TrapName;
  readonly variant: TrapVariant;
  /** Of one round trip. */
  readonly cycles: number;
  readonly tlbMisses: number;
}

const VECTOR = 0x31;
/** In a warm loop. */
const OPERATIONS = 1000;
/** Marks after which caches and TLBs are warm. */
const WARM = 3;
const LONGEST_RUN = 100_000_000;

/** Microseconds that the paper gives for its microbenchmark. */
export const PAPER_MICROSECONDS: Readonly<Record<TrapName, number>> = {
  "task gate": 59.2,
  "ring 3-0-3": 32.9,
  "ring 1-0-1": 22.0,
  "ring 0-0-0": 12.4,
};

function handler({ a }: Image, entryCode: boolean): void {
  if (entryCode) {
    a.emit("push", 0);
    a.emit("push", VECTOR);
    a.emit("push", ds);
    a.emit("push", es);
    a.emit("pushad");
    a.emit("mov", ecx, ss);
    a.emit("mov", ds, ecx);
    a.emit("mov", es, ecx);
    a.emit("cld");
    a.emit("popad");
    a.emit("pop", es);
    a.emit("pop", ds);
    a.emit("add", esp, 8);
  }
  a.emit("iretd");
}

const operationsOf = (variant: TrapVariant): number => (variant === "cold" ? 1 : OPERATIONS);

/** Cycles and TLB misses between two marks of a loop with the trap in it, or without. */
function measureLoop(trap: TrapName, variant: TrapVariant, made: boolean, cycleModel: CycleModelName) {
  const operations = operationsOf(variant);
  const image = new Image();
  const { a } = image;
  const ring = Number(/\d/.exec(trap)?.[0] ?? 0);
  if (trap === "task gate") image.taskGate(VECTOR, "handler");
  else image.gate(VECTOR, "handler", Selector.code0, 3);
  if (ring === 1 || ring === 3) image.enterRing(ring);
  image.repeat(operations, () => {
    if (made) a.emit("int", VECTOR);
  });
  a.label("handler");
  handler(image, variant !== "bare" && trap !== "task gate");
  if (trap === "task gate") a.emit("jmp", symbol("handler"));
  const marks: { readonly cycle: number; readonly misses: number }[] = [];
  const pc = new PentiumPc({
    memory: 8 * 2 ** 20,
    cycleModel,
    debugOutput: () => {
      const { data4K, data4M, code4K } = pc.statistics().tlbMisses;
      marks.push({ cycle: pc.cycle, misses: data4K + data4M + code4K });
      if (variant === "cold") {
        pc.processor.paging.flush();
        pc.processor.core.onCachesInvalidated();
      }
      if (marks.length > WARM) pc.processor.stop();
    },
  });
  pc.loadMultiboot(image.finish(trap, operations).bytes);
  pc.run(LONGEST_RUN);
  const [before, after] = marks.slice(-2);
  if (marks.length <= WARM || !before || !after)
    throw new Error(`${trap}: the bench did not get to its marks`);
  return { cycles: after.cycle - before.cycle, misses: after.misses - before.misses };
}

/** All traps in the variants given; "cold" shows caches in the `detailed` model alone. */
export function measureTraps(cycleModel: CycleModelName, variants: readonly TrapVariant[]): TrapCost[] {
  return variants.flatMap((variant) =>
    TRAPS.map((trap): TrapCost => {
      const operations = operationsOf(variant);
      const loop = measureLoop(trap, variant, false, cycleModel);
      const whole = measureLoop(trap, variant, true, cycleModel);
      return {
        trap,
        variant,
        cycles: (whole.cycles - loop.cycles) / operations,
        tlbMisses: (whole.misses - loop.misses) / operations,
      };
    }),
  );
}
