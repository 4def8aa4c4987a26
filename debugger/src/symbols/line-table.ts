/**
 * Reads the line table of an ELF file: which source line the code at an address comes from. Source: DWARF Debugging Information Format,
 * version 4, section 6.2; all standard opcodes and versions 2 to 4 are understood, one unit after the other.
 */

export interface LineRange {
  readonly start: number;
  readonly end: number;
  /** Path as the table has it: relative to the compilation's folder. */
  readonly file: string;
  /** 0 for code that comes from no line. */
  readonly line: number;
}

const DW_LNE_end_sequence = 1;
const DW_LNE_set_address = 2;
const DW_LNE_define_file = 3;

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
    this.end = Math.min(end, bytes.length);
  }

  u8(): number {
    return this.#bytes[this.at++] ?? 0;
  }

  u16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  /** LEB128. */
  unsigned(): number {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0 || this.at >= this.end) return value;
    }
  }

  signed(): number {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) !== 0 && this.at < this.end) continue;
      return shift < 32 && (byte & 0x40) !== 0 ? value | (-1 << shift) : value;
    }
  }

  string(): string {
    const end = this.#bytes.indexOf(0, this.at);
    const text = new TextDecoder().decode(this.#bytes.subarray(this.at, end));
    this.at = end + 1;
    return text;
  }
}

/** Ranges in the order of the table. Throws RangeError when it is cut off. */
export function readLineTable(section: Uint8Array): LineRange[] {
  const ranges: LineRange[] = [];
  for (let at = 0; at + 10 < section.length; ) {
    const head = new Reader(section, at, section.length);
    const end = head.u32() + at + 4;
    readUnit(new Reader(section, at + 4, end), ranges);
    at = end;
  }
  return ranges;
}

function readFiles(reader: Reader): string[] {
  const folders = [""];
  for (let name = reader.string(); name !== ""; name = reader.string()) folders.push(`${name}/`);
  const files = ["?"];
  for (let name = reader.string(); name !== ""; name = reader.string()) {
    files.push((folders[reader.unsigned()] ?? "") + name);
    reader.unsigned();
    reader.unsigned();
  }
  return files;
}

function readUnit(reader: Reader, ranges: LineRange[]): void {
  const version = reader.u16();
  const headerLength = reader.u32();
  const program = reader.at + headerLength;
  const least = reader.u8();
  if (version >= 4) reader.u8();
  reader.u8();
  const lineBase = (reader.u8() << 24) >> 24;
  const lineRange = reader.u8();
  const opcodeBase = reader.u8();
  const operands = Array.from({ length: opcodeBase - 1 }, () => reader.u8());
  const files = readFiles(reader);
  reader.at = program;

  let [address, file, line] = [0, 1, 1];
  let row: { readonly address: number; readonly file: number; readonly line: number } | undefined;
  const endRow = () => {
    if (row && address > row.address) {
      ranges.push({ start: row.address, end: address, file: files[row.file] ?? "?", line: row.line });
    }
  };
  const emit = () => {
    endRow();
    row = { address, file, line };
  };
  while (reader.at < reader.end) {
    const opcode = reader.u8();
    if (opcode >= opcodeBase) {
      const step = opcode - opcodeBase;
      address += Math.floor(step / lineRange) * least;
      line += lineBase + (step % lineRange);
      emit();
      continue;
    }
    switch (opcode) {
      case 0: {
        const length = reader.unsigned();
        const next = reader.at + length;
        const extended = reader.u8();
        if (extended === DW_LNE_end_sequence) {
          endRow();
          row = undefined;
          [address, file, line] = [0, 1, 1];
        } else if (extended === DW_LNE_set_address) address = reader.u32();
        else if (extended === DW_LNE_define_file) files.push(reader.string());
        reader.at = next;
        break;
      }
      case 1:
        emit();
        break;
      case 2:
        address += reader.unsigned() * least;
        break;
      case 3:
        line += reader.signed();
        break;
      case 4:
        file = reader.unsigned();
        break;
      case 8:
        address += Math.floor((255 - opcodeBase) / lineRange) * least;
        break;
      case 9:
        address += reader.u16();
        break;
      default:
        for (let left = operands[opcode - 1] ?? 0; left > 0; left--) reader.unsigned();
    }
  }
}
