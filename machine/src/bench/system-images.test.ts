/** The bench's images do on our machine what they are said to do, compiled or interpreted: the same instructions in the same cycles. */
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import type { ProcessorObserver } from "../i386/core.ts";
import { makeSystemImage, type SystemImageName, systemImageNames } from "./system-images.ts";

const OPERATIONS = 40;
const MARKS = 4;
/** Images whose operations are long. */
const few = new Map<SystemImageName, number>([
  ...(["flat", "based", "library"] as const).map((key) => [key, 4] as const),
  ["coldOnce", 1],
]);

interface Mark {
  readonly instructions: number;
  readonly cycle: number;
  readonly hash: string;
}

function run(
  image: Uint8Array,
  jit: "on" | "off",
  observer: ProcessorObserver | null = null,
): { readonly marks: Mark[]; readonly pc: PentiumPc } {
  const marks: Mark[] = [];
  const pc: PentiumPc = new PentiumPc({
    ...{ memory: 8 * 2 ** 20, jit, compiler: { hot: 20 } },
    debugOutput: () => {
      marks.push({ instructions: pc.instructions, cycle: pc.cycle, hash: "" });
      if (marks.length === MARKS) pc.processor.stop();
    },
  });
  pc.processor.observer = observer;
  pc.loadMultiboot(image);
  pc.run(1e9);
  return { marks: marks.map((mark) => ({ ...mark, hash: String(pc.stateHash()) })), pc };
}

describe("images of the machine bench", () => {
  // Often is once with another count.
  it.each(systemImageNames.filter((key) => key !== "coldOften"))("%s", (key) => {
    const { bytes } = makeSystemImage(key, few.get(key) ?? OPERATIONS);
    const interpreted = run(bytes, "off");
    expect(interpreted.marks).toHaveLength(MARKS);
    const compiled = run(bytes, "on");
    expect(compiled.marks).toEqual(interpreted.marks);
    expect(compiled.pc.statistics()).toEqual(interpreted.pc.statistics());
  });

  // With an observer, gates, returns, task switches and loads of segments take the slow ways, which the engine must equal.
  it.each(["interrupt3", "interrupt1", "systemCall", "pageFault", "taskGate", "pageTableReload"] as const)(
    "%s, nobody listening",
    (key) => {
      const { bytes } = makeSystemImage(key, OPERATIONS);
      const plain = run(bytes, "off");
      let returns = 0;
      const observed = run(bytes, "off", { returned: () => returns++, taskSwitch: () => returns++ });
      expect(plain.marks).toEqual(observed.marks);
      expect(plain.pc.statistics()).toEqual(observed.pc.statistics());
      if (key !== "pageTableReload") expect(returns).toBeGreaterThan(OPERATIONS);
    },
  );

  it("pass through the rings that their names say", () => {
    const { pc } = run(makeSystemImage("systemCall", OPERATIONS).bytes, "off");
    const { ringTransitions } = pc.statistics();
    expect(ringTransitions["3-1"]).toBeGreaterThanOrEqual(OPERATIONS * (MARKS - 1));
    expect(ringTransitions["1-3"]).toBe(ringTransitions["3-1"]);
    const task = run(makeSystemImage("taskGate", OPERATIONS).bytes, "off");
    expect(task.pc.statistics().taskSwitches).toBeGreaterThanOrEqual(2 * OPERATIONS * (MARKS - 1));
  });
});
