/**
 * Our machine, one case after the other: the bare harness is held where it takes the next case, the host puts the case into its slot
 * and record, and the instructions are stepped and vetted one by one.
 *
 * Invariant: between two cases the data pages are zero, so that a refused case leaves nothing to the next.
 */
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { type ReadInstruction, readInstruction } from "../../i386/instruction-reader.ts";
import { bareHarness } from "../instructions/bare-harness.ts";
import { type InstructionCase, packCases, slotAddress } from "../instructions/case.ts";
import { comparedImage } from "../instructions/floating-point-cases.ts";
import * as layout from "../instructions/layout.ts";
import type { Features } from "./features.ts";
import { caseOf, type FuzzInput } from "./fuzz-input.ts";
import { isOwnCode, type VettedState, Vetting } from "./vetting.ts";

const MEMORY = 32 * 2 ** 20;
const MOST_STEPS = 64;
/** For the harness between two cases, or one instruction with its repetitions. */
const PATIENCE = 100_000;
const INT3 = 0xcc;

export type CaseOutcome =
  | { readonly refused: string }
  | { readonly refused?: undefined; readonly test: InstructionCase; readonly result: Uint8Array };

export class CaseMachine {
  readonly #pc = new PentiumPc({ memory: MEMORY });
  readonly #ram = this.#pc.ram;
  readonly #view = new DataView(this.#ram.buffer, this.#ram.byteOffset, this.#ram.byteLength);
  readonly #descriptors: boolean;
  readonly #beginning: Uint8Array;
  readonly #symbols: ReadonlyMap<string, number>;

  /** `slots`: how many cases a batch has at most; `descriptors`: whether cases have some of their own. */
  constructor(slots: number, descriptors = false) {
    this.#descriptors = descriptors;
    const nothing = caseOf(
      {
        code: new Uint8Array(0),
        registers: new Int32Array(8),
        eflags: 2,
        memory: new Uint8Array(layout.MEMORY_SIZE),
        x87: false,
      },
      layout.CODE,
    );
    const { elf, symbols } = bareHarness(new Array<InstructionCase>(slots).fill(nothing), { descriptors });
    this.#symbols = symbols;
    this.#pc.loadMultiboot(elf);
    this.#pc.processor.addBreakpoint(this.#address("nextCase"));
    if (!this.#untilNextCase()) throw new Error("the harness does not begin");
    this.#beginning = this.#pc.save();
  }

  #address(name: string): number {
    const address = this.#symbols.get(name);
    if (address === undefined) throw new Error(`the harness has no symbol '${name}'`);
    return address;
  }

  /** False when a gate has led to code that does not come back. */
  #untilNextCase(): boolean {
    return this.#pc.run(this.#pc.cycle + PATIENCE).reason === "breakpoint";
  }

  #write(address: number, bytes: Uint8Array): void {
    this.#ram.set(bytes, address);
    this.#pc.processor.memoryChanged(address, bytes.length);
  }

  #enter(test: InstructionCase, index: number): void {
    const { records, slots } = packCases([test]);
    new DataView(records.buffer).setUint32(32, slotAddress(index) + layout.SLOT_ENTRY, true);
    this.#write(slotAddress(index), slots);
    const record = layout.CASES + index * layout.CASE_SIZE;
    this.#write(record, records);
    this.#view.setUint32(this.#address("casePointer"), record, true);
    this.#view.setUint32(this.#address("resultPointer"), layout.RESULTS + index * layout.RESULT_SIZE, true);
    const { processor } = this.#pc;
    while (processor.cpl === 0) this.#pc.step();
  }

  /** What the guest sees at an address of the identity map. */
  readonly #load = (address: number, size: number): number => {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.#ram[(address + i) >>> 0] ?? 0) << (8 * i);
    return value >>> 0;
  };

  /** Ends a case that does not end by itself. */
  #abandon(index: number): void {
    const { processor } = this.#pc;
    this.#write(slotAddress(index), new Uint8Array(layout.SLOT_SIZE).fill(INT3));
    processor.eip = slotAddress(index);
    // A pending debug trap or fault of the case itself may come first.
    for (let steps = 0; processor.cpl === 3 && steps < 4; steps++) this.#pc.step();
  }

  /** Runs an input in a slot. `features` are told what it does. */
  run(input: FuzzInput, index: number, features?: Features): CaseOutcome {
    const { processor } = this.#pc;
    const test = caseOf(input, slotAddress(index));
    const vetting = new Vetting();
    const slot = slotAddress(index);
    this.#enter(test, index);
    let last: ReadInstruction | undefined;
    let atFault = 0;
    let refused: string | undefined;
    for (let steps = 0; processor.cpl === 3 && refused === undefined; steps++) {
      const { eip } = processor;
      const bytes = this.#ram.subarray(eip, eip + 16);
      const own = eip >= slot && eip < slot + layout.SLOT_SIZE;
      const read = own ? readInstruction(bytes) : undefined;
      const state: VettedState = {
        registers: processor.registers.slice(),
        eflags: processor.eflags,
        load: this.#load,
        slot,
        descriptors: this.#descriptors ? input.descriptors : undefined,
      };
      refused = isOwnCode(eip, slot) ? vetting.refuse(bytes, read, state) : "code outside of its slot";
      if (steps === MOST_STEPS) refused = "does not end";
      if (refused !== undefined) break;
      atFault = vetting.undefinedFlags;
      last = read;
      this.#pc.step();
      const vector = processor.cpl === 3 ? undefined : this.#vector();
      if (read && vector === undefined) vetting.ran(read, state);
      if (read && vector !== undefined) refused = vetting.refuseFault(read, vector, this.#descriptors);
      features?.executed(read, state, vector, processor.eflags);
    }
    if (processor.cpl === 3) this.#abandon(index);
    if (!this.#untilNextCase()) {
      this.#pc.restore(this.#beginning);
      return { refused: "the harness's code in the middle" };
    }
    const start = layout.RESULTS + index * layout.RESULT_SIZE;
    const result = this.#ram.slice(start, start + layout.RESULT_SIZE);
    if (this.#clean()) refused ??= "memory outside of its windows";
    if (refused !== undefined) return { refused };
    const memoryMask = input.x87 ? comparedImage(vetting.conditionsDefined) : undefined;
    const masks = { undefinedFlags: vetting.undefinedFlags, undefinedFlagsAtFault: atFault, memoryMask };
    return { test: { ...test, ...masks, row: last?.row ?? test.row }, result };
  }

  /** The vector of the gate that was just gone through. */
  #vector(): number {
    const address = this.#pc.processor.eip;
    for (let vector = 0; vector < 32; vector++)
      if (this.#symbols.get(`vector${vector}`) === address) return vector;
    return -1;
  }

  /** Zeroes the data pages; whether there was something outside of the windows. */
  #clean(): boolean {
    const { DATA, DATA_END, WINDOW_A, WINDOW_A_SIZE, WINDOW_B, WINDOW_B_SIZE } = layout;
    this.#ram.fill(0, WINDOW_A, WINDOW_A + WINDOW_A_SIZE);
    this.#ram.fill(0, WINDOW_B, WINDOW_B + WINDOW_B_SIZE);
    const pages = this.#ram.subarray(DATA, DATA_END);
    const stray = pages.some((byte) => byte !== 0);
    pages.fill(0);
    this.#pc.processor.memoryChanged(DATA, DATA_END - DATA);
    return stray;
  }
}
