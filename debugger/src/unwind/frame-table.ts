/**
 * Call frame information of images: what `.debug_frame` says about how the caller's registers are found at an address (DWARF Debugging
 * Information Format, version 4, section 6.4). Addresses are those of the files. What cannot be read is as if it were not there.
 */

export type Rule =
  /** Where the register is saved, in bytes from the frame's address. */
  | { readonly kind: "offset"; readonly offset: number }
  /** Operations that leave the place where it is saved. */
  | { readonly kind: "expression"; readonly operations: Uint8Array }
  /** There is none: of the instruction pointer, no caller. */
  | { readonly kind: "undefined" };

export interface FrameRules {
  /** The frame's address: the caller's stack pointer. */
  readonly frame:
    | { readonly kind: "register"; readonly register: number; readonly offset: number }
    | { readonly kind: "expression"; readonly operations: Uint8Array };
  /** By DWARF's number; registers without a rule are the caller's already. */
  readonly registers: ReadonlyMap<number, Rule>;
  readonly returnRegister: number;
  /** The frame was made by a trap: its return address is no call's. */
  readonly interrupted: boolean;
}

interface Common {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly returnRegister: number;
  readonly interrupted: boolean;
  readonly augmented: boolean;
  readonly instructions: Uint8Array;
}

interface Description {
  readonly start: number;
  readonly end: number;
  readonly common: Common;
  readonly instructions: Uint8Array;
}

const COMMON_ID = 0xffff_ffff;

/** Little-endian numbers one after the other. Throws `RangeError` at the end. */
export class Cursor {
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.at >= this.#view.byteLength;
  }

  u8(): number {
    return this.#view.getUint8(this.at++);
  }

  s8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  unsigned(): number {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = this.u8();
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    return value >>> 0;
  }

  signed(): number {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = this.u8();
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    return shift < 32 && byte & 0x40 ? value | (-1 << shift) : value;
  }

  text(): string {
    let text = "";
    for (let byte = this.u8(); byte !== 0; byte = this.u8()) text += String.fromCharCode(byte);
    return text;
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.#view.byteLength) throw new RangeError("the bytes end");
    const bytes = new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.at, length);
    this.at += length;
    return bytes;
  }

  rest(): Uint8Array {
    return this.take(this.#view.byteLength - this.at);
  }
}

function readCommon(body: Cursor): Common {
  const version = body.u8();
  const augmentation = body.text();
  if (version >= 4) body.take(2);
  const codeAlignment = body.unsigned();
  const dataAlignment = body.signed();
  const returnRegister = version === 1 ? body.u8() : body.unsigned();
  const augmented = augmentation.startsWith("z");
  if (augmented) body.take(body.unsigned());
  else if (augmentation !== "") throw new RangeError(`augmentation '${augmentation}' is not known`);
  return {
    ...{ codeAlignment, dataAlignment, returnRegister, augmented },
    interrupted: augmentation.includes("S"),
    instructions: body.rest(),
  };
}

function readSection(section: Uint8Array): Description[] {
  const found: Description[] = [];
  const commons = new Map<number, Common>();
  const all = new Cursor(section);
  try {
    while (!all.atEnd) {
      const place = all.at;
      const body = new Cursor(all.take(all.u32()));
      const id = body.u32();
      if (id === COMMON_ID) {
        commons.set(place, readCommon(body));
        continue;
      }
      const common = commons.get(id);
      const [start, size] = [body.u32(), body.u32()];
      if (common?.augmented) body.take(body.unsigned());
      if (common) found.push({ start, end: start + size, common, instructions: body.rest() });
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return found;
}

interface Row {
  frame: FrameRules["frame"];
  registers: Map<number, Rule>;
}

/** Runs instructions on a row until they describe what is behind `limit`. Throws `RangeError` for what it does not know. */
function runInstructions(
  instructions: Uint8Array,
  common: Common,
  row: Row,
  start: number,
  limit: number,
  initial: ReadonlyMap<number, Rule>,
): void {
  const code = new Cursor(instructions);
  const kept: Row[] = [];
  let at = start;
  const offset = (register: number, factored: number) =>
    row.registers.set(register, { kind: "offset", offset: factored * common.dataAlignment });
  const restore = (register: number) => {
    const rule = initial.get(register);
    if (rule) row.registers.set(register, rule);
    else row.registers.delete(register);
  };
  const advance = (distance: number): boolean => {
    at += distance * common.codeAlignment;
    return at > limit;
  };
  const changeFrame = (change: { readonly register?: number; readonly offset?: number }) => {
    if (row.frame.kind === "register") row.frame = { ...row.frame, ...change };
  };
  while (!code.atEnd) {
    const byte = code.u8();
    const low = byte & 0x3f;
    if (byte >> 6 === 1) {
      if (advance(low)) return;
      continue;
    }
    if (byte >> 6 === 2) offset(low, code.unsigned());
    else if (byte >> 6 === 3) restore(low);
    else {
      switch (byte) {
        case 0x00:
          break;
        case 0x02:
          if (advance(code.u8())) return;
          break;
        case 0x03:
          if (advance(code.u16())) return;
          break;
        case 0x04:
          if (advance(code.u32())) return;
          break;
        case 0x05:
          offset(code.unsigned(), code.unsigned());
          break;
        case 0x06:
          restore(code.unsigned());
          break;
        case 0x07:
          row.registers.set(code.unsigned(), { kind: "undefined" });
          break;
        case 0x08:
          row.registers.delete(code.unsigned());
          break;
        case 0x0a:
          kept.push({ frame: row.frame, registers: new Map(row.registers) });
          break;
        case 0x0b:
          Object.assign(row, kept.pop() ?? {});
          break;
        case 0x0c:
          row.frame = { kind: "register", register: code.unsigned(), offset: code.unsigned() };
          break;
        case 0x0d:
          changeFrame({ register: code.unsigned() });
          break;
        case 0x0e:
          changeFrame({ offset: code.unsigned() });
          break;
        case 0x0f:
          row.frame = { kind: "expression", operations: code.take(code.unsigned()) };
          break;
        case 0x10:
          row.registers.set(code.unsigned(), {
            kind: "expression",
            operations: code.take(code.unsigned()),
          });
          break;
        case 0x11:
          offset(code.unsigned(), code.signed());
          break;
        case 0x2e:
          code.unsigned();
          break;
        default:
          throw new RangeError(`frame instruction 0x${byte.toString(16)} is not known`);
      }
    }
  }
}

export class FrameTable {
  readonly #descriptions: readonly Description[];

  /** Sections `.debug_frame`. */
  constructor(sections: readonly Uint8Array[]) {
    this.#descriptions = sections.flatMap(readSection).sort((a, b) => a.start - b.start);
  }

  /** The rules at an address; undefined where none are known. */
  rulesAt(address: number): FrameRules | undefined {
    let [low, high] = [0, this.#descriptions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#descriptions[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#descriptions[low - 1];
    if (!found || address >= found.end) return undefined;
    const { common, instructions, start } = found;
    const row: Row = { frame: { kind: "register", register: 4, offset: 4 }, registers: new Map() };
    try {
      runInstructions(common.instructions, common, row, 0, 0, new Map());
      runInstructions(instructions, common, row, start, address, new Map(row.registers));
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
    return { ...row, returnRegister: common.returnRegister, interrupted: common.interrupted };
  }
}
