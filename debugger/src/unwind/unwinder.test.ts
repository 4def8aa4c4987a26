/** Chains of calls by the rules that our own writer makes, by frame pointers, and from what cannot be read. */
import { describe, expect, it } from "vitest";
import {
  atRegister,
  callerStack,
  deref,
  frameInformation,
  OUTERMOST,
  plus,
  Register,
  saved,
} from "../rialto/frame-rules.ts";
import { FrameTable } from "./frame-table.ts";
import { unwind } from "./unwinder.ts";

const STACK = 0x8000;

/** Words from STACK up. */
const memoryOf =
  (...words: readonly number[]) =>
  (address: number) =>
    words[(address - STACK) / 4];
const registers = (esp: number, ebp: number, eip: number) => [0, 0, 0, 0, esp, ebp, 0, 0, eip];
const known = (address: number) => address >= 0x1000 && address < 0x5000;

describe("chains of calls", () => {
  const table = new FrameTable([
    frameInformation([
      // At its entry, with the return address on the stack.
      { start: 0x1000, size: 0x10, interrupted: false, instructions: [] },
      // A trap's stub: eip cs eflags at the stack pointer.
      {
        start: 0x2000,
        size: 0x10,
        interrupted: true,
        instructions: [
          ...callerStack([...atRegister(Register.ESP), ...plus(12)]),
          ...saved(Register.EIP, atRegister(Register.ESP)),
        ],
      },
      { start: 0x3000, size: 0x10, interrupted: false, instructions: OUTERMOST },
      // Its frame's address is in memory.
      {
        start: 0x4000,
        size: 0x10,
        interrupted: false,
        instructions: callerStack([...atRegister(Register.ESP), ...deref]),
      },
    ]),
  ]);

  it("follow rules from call to call, through a trap to its ring, to the outermost", () => {
    const load = memoryOf(0x2008, 0x1005, 0x1b, 0x202, 0x3004);
    expect(unwind(registers(STACK, 0, 0x1000), table, load, known)).toEqual([
      { eip: 0x1000, ring: undefined },
      { eip: 0x2007, ring: undefined },
      { eip: 0x1005, ring: 3 },
      { eip: 0x3003, ring: undefined },
    ]);
  });

  it("evaluate expressions for the frame's address", () => {
    const load = memoryOf(STACK + 12, 0, 0x3008);
    expect(unwind(registers(STACK, 0, 0x4004), table, load, known).map(({ eip }) => eip)).toEqual([
      0x4004, 0x3007,
    ]);
  });

  it("follow frame pointers where there are no rules, into known code only", () => {
    const load = memoryOf(STACK + 8, 0x1804, STACK + 16, 0x1904, 0, 0x9000);
    const chain = unwind(registers(STACK, STACK, 0x1700), table, load, known);
    expect(chain.map(({ eip }) => eip)).toEqual([0x1700, 0x1803, 0x1903]);
  });

  it("end where memory is not mapped, or a chain goes in a circle", () => {
    expect(unwind(registers(0x100, 0, 0x1000), table, () => undefined, known)).toHaveLength(1);
    const circle = memoryOf(STACK, 0x1804);
    expect(unwind(registers(STACK, STACK, 0x1700), table, circle, known).length).toBeLessThan(4);
  });

  it("take broken tables as if nothing were there", () => {
    const [section] = [
      frameInformation([{ start: 0x1000, size: 16, interrupted: false, instructions: [0x3f] }]),
    ];
    expect(new FrameTable([section!]).rulesAt(0x1004)).toBeUndefined();
    expect(new FrameTable([section!.subarray(0, 21), Uint8Array.of(1, 2)]).rulesAt(0x1004)).toBeUndefined();
    expect(new FrameTable([]).rulesAt(0)).toBeUndefined();
  });
});
