/** An input of the instruction fuzzer: code, and the state it starts in. It belongs to no slot until it becomes a case. */
import { disassemble } from "../../i386/disassembler.ts";
import { undefinedInstruction } from "../../i386/table.ts";
import { type InstructionCase, slotAddress } from "../instructions/case.ts";
import { LOAD_IMAGE, SAVE_IMAGE } from "../instructions/floating-point-cases.ts";
import { CODE, MEMORY_SIZE, SLOT_ENTRY, SLOT_SIZE } from "../instructions/layout.ts";

export interface FuzzInput {
  /** Instructions, without the INT3s around them; pointers into the slot are those of slot 0. */
  readonly code: Uint8Array;
  /** EAX to EDI by register number. */
  readonly registers: Int32Array;
  readonly eflags: number;
  /** Window A, then window B. */
  readonly memory: Uint8Array;
  /** The x87 is loaded from window A before the code, and stored there behind it. */
  readonly x87: boolean;
  /** Of its own in the GDT, where the harness has them. */
  readonly descriptors?: Uint8Array | undefined;
}

const ROOM = SLOT_SIZE - SLOT_ENTRY - 4;
const FRAME = LOAD_IMAGE.length + SAVE_IMAGE.length;

/** Most bytes of code. */
export const roomOf = (x87: boolean): number => (x87 ? ROOM - FRAME : ROOM);

/** Where the input's own code begins in the slot. */
export const entryOf = ({ x87 }: Pick<FuzzInput, "x87">): number =>
  SLOT_ENTRY + (x87 ? LOAD_IMAGE.length : 0);

const bytesOf = (words: Int32Array): Uint8Array => new Uint8Array(words.slice().buffer);
const wordsOf = (bytes: Uint8Array): Int32Array => new Int32Array(bytes.slice().buffer);

/** Moves every word that points into a slot to another. */
function relocateWords(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (let at = 0; at + 4 <= copy.length; at++) {
    const value = view.getUint32(at, true);
    if (value < from || value >= from + SLOT_SIZE) continue;
    view.setUint32(at, value - from + to, true);
    at += 3;
  }
  return copy;
}

/** From a case in the slot of an index. */
export function inputOf(test: InstructionCase, index: number, x87: boolean): FuzzInput {
  const home = (bytes: Uint8Array) => relocateWords(bytes, slotAddress(index), CODE);
  let end = SLOT_SIZE;
  while (end > SLOT_ENTRY && test.slot[end - 1] === 0xcc) end--;
  const code = home(test.slot.subarray(SLOT_ENTRY, end));
  return {
    code: x87 ? code.slice(LOAD_IMAGE.length, code.length - SAVE_IMAGE.length) : code,
    registers: wordsOf(home(bytesOf(test.registers))),
    eflags: test.eflags,
    memory: home(test.memory),
    x87,
  };
}

/** The case in a slot, nothing undefined. */
export function caseOf(input: FuzzInput, slot: number): InstructionCase {
  const bytes = new Uint8Array(SLOT_SIZE).fill(0xcc);
  const code = input.x87 ? [...LOAD_IMAGE, ...input.code, ...SAVE_IMAGE] : input.code;
  bytes.set(code, SLOT_ENTRY);
  return {
    row: undefinedInstruction,
    text: "",
    slot: relocateWords(bytes, CODE, slot),
    registers: wordsOf(relocateWords(bytesOf(input.registers), CODE, slot)),
    eflags: input.eflags,
    descriptors: input.descriptors,
    memory: relocateWords(input.memory, CODE, slot),
    undefinedFlags: 0,
    undefinedFlagsAtFault: 0,
    undefinedRegisterBits: new Int32Array(8),
    undefinedMemory: [],
    memoryMask: undefined,
  };
}

/** The code as lines of address, bytes and text, as it would be read from its beginning. */
export function listing(input: FuzzInput): string[] {
  const lines: string[] = [];
  const padded = Uint8Array.from([...input.code, ...new Array<number>(16).fill(0xcc)]);
  for (let at = 0; at < input.code.length; ) {
    const { length, text } = disassemble(padded, at, CODE + entryOf(input) + at);
    lines.push(
      `${Buffer.from(padded.subarray(at, at + length))
        .toString("hex")
        .padEnd(24)} ${text}`,
    );
    at += length;
  }
  return lines;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export function inputToJson({ code, registers, eflags, memory, x87, descriptors }: FuzzInput): string {
  const own = descriptors && { descriptors: hex(descriptors) };
  return JSON.stringify({
    code: hex(code),
    registers: [...registers],
    eflags,
    x87,
    ...own,
    memory: hex(memory),
  });
}

/** Throws when the text is not such an input. */
export function inputFromJson(text: string): FuzzInput {
  const { code, registers, eflags, x87, memory, descriptors } = JSON.parse(text);
  const bytes = (value: unknown) => new Uint8Array(Buffer.from(String(value), "hex"));
  if (!Array.isArray(registers) || registers.length !== 8 || bytes(memory).length !== MEMORY_SIZE)
    throw new Error("not an input of the instruction fuzzer: take a file that it wrote to .rialto/fuzz");
  const input = {
    code: bytes(code),
    registers: Int32Array.from(registers),
    eflags: Number(eflags),
    memory: bytes(memory),
  };
  const own = descriptors === undefined ? undefined : { descriptors: bytes(descriptors) };
  return { ...input, x87: x87 === true, ...own };
}
