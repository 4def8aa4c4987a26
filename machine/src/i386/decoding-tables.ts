/** Writes what the engine's decoder knows of opcodes (engine/layout/decoding.ts) from the instruction table. */

import { CHOICES, FORMS, OPCODES, PREFIX_KINDS } from "../../engine/layout/addresses.ts";
import * as Form from "../../engine/layout/decoding.ts";
import type { ProcessorCore } from "./core.ts";
import { chooseHotOperation, coldNumbers, type DecodedShape } from "./hot-operations.ts";
import type { OperandCode } from "./instruction.ts";
import { Field, Prefix, Segment, Slot } from "./layout.ts";
import {
  hasModrm,
  instructions,
  opcodeMapIndex,
  prefixKinds,
  rowNumbers,
  type TableInstruction,
} from "./table.ts";

const segmentNames = ["ES", "CS", "SS", "DS", "FS", "GS"] as const;
const logOf = (size: number): number => Math.log2(size);

const immediateKinds: Readonly<Partial<Record<OperandCode, number>>> = {
  ...{ Ib: Form.BYTE, Ibs: Form.SIGNED_BYTE, Jb: Form.SIGNED_BYTE, Iw: Form.WORD },
  ...{ Iz: Form.OPERAND, Jz: Form.OPERAND, Ap: Form.FAR_POINTER },
  ...{ Ob: Form.ADDRESS, Ov: Form.ADDRESS },
};

/** Operations behind whose record nothing is ever looked for. */

interface Descriptor {
  readonly flags: number;
  readonly immediate: number;
  readonly rm: Source;
  readonly reg: Source;
  readonly size: number;
  readonly extra: number;
  readonly form: number;
  readonly fixedImmediate: number;
  readonly clocks: number;
  readonly row: number;
  readonly narrowOperation: number;
  readonly operations: readonly number[];
}

/** Where the register of an operand stands, and what RM or REG are without one. */
interface Source {
  source: number;
  fixed: number;
}

/** `isMemory`: ModR/M names memory. */
function describe(row: TableInstruction, isMemory: boolean, operandSize: 2 | 4): Descriptor {
  const { operands } = row;
  const size = row.byteSized ? 1 : operandSize;
  let rm: Source = { source: Form.FIXED, fixed: -1 };
  let reg: Source = { source: Form.FIXED, fixed: 0 };
  let form = 2;
  let extra = 0;
  let immediate: number = Form.NONE;
  const from = (where: number, bytes: number): Source => ({ source: where | logOf(bytes), fixed: 0 });
  operands.forEach((operand, i) => {
    const kind = immediateKinds[operand];
    if (kind !== undefined)
      immediate = operand === "Ib" && operands[i - 1] === "Iw" ? Form.WORD_AND_BYTE : kind;
    switch (operand) {
      case "Eb":
      case "Ew":
        extra = operand === "Eb" ? 1 : 2;
        if (!isMemory) rm = from(Form.MODRM_RM, extra);
        break;
      case "Ev":
      case "Evw":
        if (!isMemory) rm = from(Form.MODRM_RM, size);
        break;
      case "Rd":
        rm = from(Form.MODRM_RM, 4);
        break;
      case "Gb":
      case "Gw":
      case "Gv":
        reg = from(Form.MODRM_REG, operand === "Gb" ? 1 : operand === "Gw" ? 2 : size);
        form = i === 0 ? 1 : 0;
        break;
      case "Sw":
      case "Cd":
      case "Dd":
        reg = from(Form.MODRM_REG, 4);
        break;
      case "Ob":
      case "Ov":
        form = i === 0 ? 0 : 1;
        break;
      case "Zb":
      case "Zv":
        rm = from(Form.OPCODE_BITS, operand === "Zb" ? 1 : size);
        break;
      case "AL":
      case "rAX":
        // The other operand decides: with an address or an opcode register it is the register operand.
        if (i === 0 && operands[1] !== "Ob" && operands[1] !== "Ov") rm = { source: Form.FIXED, fixed: 0 };
        break;
      case "ES":
      case "CS":
      case "SS":
      case "DS":
      case "FS":
      case "GS":
        reg = { source: Form.FIXED, fixed: segmentNames.indexOf(operand) };
        break;
      default:
        break;
    }
  });
  const hasMemory = isMemory || immediate === Form.ADDRESS;
  if (row.operation === "jcc" || row.operation === "setcc") extra = row.opcode & 15;
  if (form === 1 && !hasMemory && (row.operation === "mov" || (row.opcode < 0x40 && !row.twoByte))) {
    // reg, rm with two registers: it is stored as rm, reg.
    [rm, reg] = [reg, rm];
    form = 0;
  }
  if (hasMemory) rm = { source: Form.FIXED, fixed: -1 };
  const isRelative = operands[0] === "Jb" || operands[0] === "Jz";
  const shape = (addressSize16: boolean, which: number): DecodedShape => ({
    size,
    isMemory: hasMemory,
    isBased: (which & Form.BASED) !== 0,
    form,
    shiftByCl: operands.includes("CL"),
    inPage: (which & Form.IN_PAGE) !== 0,
    condition: extra,
    addressSize16,
  });
  const operation = (addressSize16: boolean, which: number): number =>
    chooseHotOperation(row, shape(addressSize16, which)) || coldNumbers.get(row.operation)!;
  const operations = [0, 1, 2, 3].map((which) => operation(false, which));
  const flag = (bit: number, isSet: boolean): number => (isSet ? bit : 0);
  return {
    flags:
      flag(Form.MODRM_MEMORY, isMemory) |
      flag(Form.MEMORY_OPERAND, hasMemory) |
      flag(Form.LOCKABLE, row.lockable) |
      flag(Form.RELATIVE, isRelative) |
      flag(Form.SEVERAL_OPERATIONS, new Set(operations).size > 1) |
      flag(Form.ENDS_RUN, row.transfersControl && row.operation !== "jcc"),
    ...{ immediate, rm, reg, size, extra, form, operations, row: row.number },
    fixedImmediate: operands.includes("CL") ? -1 : operands.includes("1") ? 1 : 0,
    clocks: hasMemory ? row.clocks.memory : row.clocks.register,
    narrowOperation: operation(true, 0),
  };
}

/** A form for each row and kind of ModR/M; that of the undefined opcode is 0. */
class Forms {
  private readonly numbers = new Map<number, number>();
  private readonly core: ProcessorCore;

  constructor(core: ProcessorCore) {
    this.core = core;
    this.numberOf(0, 0xc0);
  }

  numberOf(rowNumber: number, modrm: number): number {
    const row = instructions[rowNumber]!;
    const isMemory = row.modrm && row.memoryForm && modrm < 0xc0;
    const key = rowNumber * 2 + (isMemory ? 1 : 0);
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.numbers.size;
    this.numbers.set(key, number);
    const place = FORMS + number * Form.FORM_BYTES;
    this.write(place, describe(row, isMemory, 4));
    this.write(place + Form.DESCRIPTOR_BYTES, describe(row, isMemory, 2));
    return number;
  }

  private write(place: number, descriptor: Descriptor): void {
    const { rm, reg, operations } = descriptor;
    const record = this.core.words(place, Field.WORDS);
    record.fill(0);
    record[Field.OPERATION] = operations[Form.BASED]!;
    record[Field.CLOCKS] = descriptor.clocks;
    record[Field.REG] = reg.fixed;
    record[Field.RM] = rm.fixed;
    record[Field.BASE] = Slot.ZERO;
    record[Field.INDEX] = Slot.ZERO;
    record[Field.SEGMENT] = Segment.DS;
    record[Field.IMMEDIATE] = descriptor.fixedImmediate;
    record[Field.SIZE] = descriptor.size;
    record[Field.PREFIX] = descriptor.form << Prefix.FORM_SHIFT;
    record[Field.EXTRA] = descriptor.extra;
    const bytes = this.core.bytes(place, Form.DESCRIPTOR_BYTES);
    const halves = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    bytes[Form.FLAGS] = descriptor.flags;
    bytes[Form.IMMEDIATE] = descriptor.immediate;
    bytes[Form.RM_SOURCE] = rm.source;
    bytes[Form.REG_SOURCE] = reg.source;
    halves.setUint16(Form.ROW, descriptor.row, true);
    halves.setUint16(Form.NARROW_OPERATION, descriptor.narrowOperation, true);
    operations.forEach((operation, i) => {
      halves.setUint16(Form.OPERATIONS + i * 2, operation, true);
    });
  }
}

export function writeDecodingTables(core: ProcessorCore): void {
  core.bytes(PREFIX_KINDS, 0x100).set(prefixKinds);
  const opcodes = core.words(OPCODES, 0x200);
  const forms = new Forms(core);
  let choices = 0;
  for (let opcode = 0; opcode < 0x200; opcode++) {
    const formAt = (modrm: number): number =>
      forms.numberOf(rowNumbers[opcodeMapIndex(opcode >= 0x100, opcode & 0xff, modrm)]!, modrm);
    if (hasModrm[opcode] === 0) {
      opcodes[opcode] = formAt(0xc0);
      continue;
    }
    const bytes = core.bytes(CHOICES + choices, Form.CHOICE_BYTES);
    const table = new Uint16Array(bytes.buffer, bytes.byteOffset, Form.CHOICE_BYTES / 2);
    for (let i = 0; i < table.length; i++) table[i] = formAt(i < 8 ? i << 3 : 0xb8 + i);
    opcodes[opcode] = Form.WITH_MODRM | choices;
    choices += Form.CHOICE_BYTES;
  }
}
