/**
 * What guides the instruction fuzzer: which forms of the instruction table ran, in which ways. A form is a row with its sizes, prefixes and
 * kind of operand; a way is how it ended, which flags it left, where its memory lay, and whose flags it read. An input that shows a
 * feature for the first time is worth changing further. Nothing here knows how the machine is built, so the same features guide whatever
 * executes.
 */
import { datumSize } from "../../i386/disassembler.ts";
import type { ReadInstruction } from "../../i386/instruction-reader.ts";
import { CASE_SELECTORS, memoryIndex } from "../instructions/layout.ts";
import { operandAddress, selectorOf, type VettedState } from "./vetting.ts";

const PAGE = 4096;
const FLAGS = 0x8d5;

function formOf({
  row,
  operandSize16,
  addressSize16,
  lock,
  repeat,
  segment,
  address,
  modrm,
}: ReadInstruction): string {
  const place = address
    ? address.index >= 0
      ? "i"
      : address.base >= 0
        ? "b"
        : "a"
    : modrm >= 0xc0
      ? "r"
      : "";
  return `${row.number}${operandSize16 ? "w" : ""}${addressSize16 ? "s" : ""}${lock ? "l" : ""}${repeat || ""}${segment >= 0 ? segment : ""}${place}`;
}

/** Where the memory operand lies, as far as a processor may treat it differently. */
function placeOf(read: ReadInstruction, { registers, slot }: VettedState): string | undefined {
  const address = operandAddress(read, registers);
  if (address === undefined) return undefined;
  const code = read.row.operands.find((operand) => /^[EMO]/.test(operand));
  const size = (code && datumSize(code, read.operandSize16)) || 1;
  if (address >= slot && address < slot + 64) return "code";
  if ((address & (PAGE - 1)) + size > PAGE) return "pages";
  if (address & (size - 1)) return "odd";
  return memoryIndex(address) < 0 ? "away" : undefined;
}

/** Access byte of the case's own descriptor that the instruction's selector names. */
function accessOf(read: ReadInstruction, state: VettedState): number | undefined {
  const selector = state.descriptors && selectorOf(read, state);
  return selector === undefined ? undefined : state.descriptors?.[(selector & ~7) - CASE_SELECTORS + 5];
}

export class Features {
  readonly #seen = new Set<string>();
  #shown: string[] = [];
  #producer = -1;

  /** Begins a case: what flags it reads first, nobody made. */
  begin(): void {
    this.#producer = -1;
    this.#shown = [];
  }

  /** Takes the case; how many features it was the first to show. */
  keep(): number {
    const before = this.#seen.size;
    for (const feature of this.#shown) this.#seen.add(feature);
    return this.#seen.size - before;
  }

  get count(): number {
    return this.#seen.size;
  }

  /** An instruction went on, or was ended by a vector. Without `read` there was none to be read. */
  executed(
    read: ReadInstruction | undefined,
    state: VettedState,
    vector: number | undefined,
    eflags: number,
  ): void {
    const end = vector ?? "on";
    if (!read) {
      this.#shown.push(`unread ${end}`);
      return;
    }
    const { row } = read;
    this.#shown.push(`${formOf(read)} ${end}`);
    const place = placeOf(read, state);
    if (place !== undefined) this.#shown.push(`${row.number} ${end} ${place}`);
    const access = accessOf(read, state);
    if (access !== undefined) this.#shown.push(`${row.number} ${end} descriptor ${access}`);
    if (row.flagsRead && this.#producer >= 0) this.#shown.push(`${row.number} reads ${this.#producer}`);
    if (!row.flagsWritten || vector !== undefined) return;
    this.#shown.push(`${row.number} leaves ${eflags & FLAGS & row.flagsWritten}`);
    this.#producer = row.number;
  }
}
