/**
 * A symbol file about code that the compiler knows nothing of: the kernel's entry stubs (i386/traps.asm.ts) and the proxies of every
 * process (i386/proxies.asm.ts). With it GDB names the proxies, steps over calls through them, and goes back through traps: from a
 * handler to the code that was interrupted, from a system call to the process that made it.
 *
 * Each place where a stub calls its handler is described by one row of DWARF frame information, found by looking for that very call in
 * the kernel's code. Frames that interrupted something are marked as signal frames, since their return address is no call's.
 * User addresses are followed by the debugger's second rule for addresses (addresses.ts).
 * Source: DWARF Debugging Information Format, version 4, section 6.4; thread record and frames as drawn in traps.asm.ts.
 */
import { ByteWriter, StringTable } from "@rialto/toolchain/link/byte-writer.ts";
import {
  type ElfSymbol,
  ET_EXEC,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_NOBITS,
  SHT_PROGBITS,
  SHT_STRTAB,
  SHT_SYMTAB,
  STB_GLOBAL,
  STT_FUNC,
  SYMBOL_SIZE,
  writeElf,
  writeSymbols,
} from "@rialto/toolchain/link/elf.ts";
import type { KernelLayout } from "./layout.ts";

const EBX = 3;
const ESP = 4;
const EBP = 5;
const ESI = 6;
const EDI = 7;
const RETURN_ADDRESS = 8;
const CFA_UNDEFINED = 0x07;
const CFA_DEF_CFA = 0x0c;
const CFA_DEF_CFA_EXPRESSION = 0x0f;
const CFA_EXPRESSION = 0x10;
const CFA_OFFSET = 0x80;
const OP_DEREF = 0x06;
const OP_CONST1 = 0x08;
const OP_DUP = 0x12;
const OP_AND = 0x1a;
const OP_PLUS_CONSTANT = 0x23;
const OP_BRANCH = 0x28;
const OP_SKIP = 0x2f;
const OP_BASE_ESP = 0x70 + ESP;
const OP_BASE_EBP = 0x70 + EBP;
const CALL = 0xe8;
const CALL_SIZE = 5;

/** The kernel's code: bytes and where they lie. */
export interface KernelText {
  readonly bytes: Uint8Array;
  readonly address: number;
}

interface Row {
  readonly start: number;
  readonly size: number;
  readonly interrupted: boolean;
  readonly instructions: readonly number[];
}

/** An operation on the word at ESP + `offset`. */
const atStack = (offset: number, ...operations: number[]) => [OP_BASE_ESP, offset, ...operations];

function expression(instruction: readonly number[], operations: readonly number[]): number[] {
  return [...instruction, operations.length, ...operations];
}

/** What the processor and the stub pushed, `pointer` being the operations that give its address. */
function savedFrame(layout: KernelLayout, pointer: readonly number[], stack: readonly number[]): number[] {
  const saved = (register: number, field: string) =>
    expression([CFA_EXPRESSION, register], [...pointer, OP_PLUS_CONSTANT, layout.thread(field)]);
  return [
    ...expression([CFA_DEF_CFA_EXPRESSION], [...pointer, ...stack]),
    ...saved(RETURN_ADDRESS, "eip"),
    ...saved(EDI, "edi"),
    ...saved(ESI, "esi"),
    ...saved(EBP, "ebp"),
    ...saved(EBX, "ebx"),
  ];
}

const OUTERMOST = [CFA_UNDEFINED, RETURN_ADDRESS];

/** The calls by which the stubs enter the compiled kernel: from which label on, which function, what lies on the stack there. */
function callRows(layout: KernelLayout, text: KernelText, symbols: ReadonlyMap<string, number>): Row[] {
  const pointer = atStack(0, OP_DEREF);
  const esp = layout.thread("esp");
  const cs = layout.thread("cs");
  const stackInFrame = [OP_PLUS_CONSTANT, esp, OP_DEREF];
  // Without a change of ring the processor pushes no stack pointer: the stack goes on behind the frame.
  const stackBehindFrame = [OP_PLUS_CONSTANT, esp];
  const either = [
    ...[OP_DUP, OP_PLUS_CONSTANT, cs, OP_DEREF, OP_CONST1, 2, OP_AND],
    ...[OP_BRANCH, 5, 0, ...stackBehindFrame, OP_SKIP, 3, 0, ...stackInFrame],
  ];
  const calls: readonly (readonly [label: string, handler: string, row: number[], interrupted: boolean])[] = [
    ["firstLevelStubs", "firstLevelTrap", savedFrame(layout, pointer, stackInFrame), true],
    ["resumeCurrent", "nestedTrap", savedFrame(layout, pointer, stackBehindFrame), true],
    ["memoryFaultEntryBody", "memoryFault", savedFrame(layout, pointer, either), true],
    ["exceptionEntryBody", "programException", savedFrame(layout, pointer, either), true],
    ["exitEntryBody", "exitFromTrap", savedFrame(layout, pointer, either), true],
    // Behind the two arguments: eip cs eflags esp ss.
    [
      "systemCallEntry",
      "systemCall",
      [
        ...expression([CFA_DEF_CFA_EXPRESSION], atStack(20, OP_DEREF)),
        ...expression([CFA_EXPRESSION, RETURN_ADDRESS], atStack(8)),
      ],
      true,
    ],
    ["startPaged", "bootMain", OUTERMOST, false],
  ];
  return calls.flatMap(([label, handler, instructions, interrupted]) => {
    const start = callAfter(text, symbols.get(label), symbols.get(handler));
    // GDB looks signal frames up by their address, others by the byte before it: the range holds both.
    return start === undefined ? [] : [{ start, size: CALL_SIZE + 1, interrupted, instructions }];
  });
}

/**
 * A method that the kernel calls on the caller's words in place (guardedInvoke): EBP is at a record of EBP, return address, ESP, EBX,
 * ESI, EDI. The stack goes back down to the caller there, which GDB takes from signal frames alone.
 */
function guardedRow(symbols: ReadonlyMap<string, number>): Row[] {
  const after = symbols.get("leaveInvoke");
  if (after === undefined) return [];
  const atRecord = (offset: number, ...operations: number[]) => [OP_BASE_EBP, offset, ...operations];
  const saved = (register: number, offset: number) =>
    expression([CFA_EXPRESSION, register], atRecord(offset));
  const instructions = [
    ...expression([CFA_DEF_CFA_EXPRESSION], atRecord(8, OP_DEREF, OP_PLUS_CONSTANT, 4)),
    ...saved(RETURN_ADDRESS, 4),
    ...saved(EBP, 0),
    ...saved(EBX, 12),
    ...saved(ESI, 16),
    ...saved(EDI, 20),
  ];
  return [{ start: after - 1, size: 2, interrupted: true, instructions }];
}

/** Address of the first call of `target` from `from` on. */
function callAfter(
  text: KernelText,
  from: number | undefined,
  target: number | undefined,
): number | undefined {
  if (from === undefined || target === undefined) return undefined;
  const view = new DataView(text.bytes.buffer, text.bytes.byteOffset, text.bytes.byteLength);
  for (let at = from - text.address; at >= 0 && at + CALL_SIZE <= text.bytes.length; at++) {
    const next = text.address + at + CALL_SIZE;
    if (text.bytes[at] === CALL && (next + view.getInt32(at + 1, true)) >>> 0 === target) {
      return text.address + at;
    }
  }
  return undefined;
}

function frameInformation(rows: readonly Row[]): Uint8Array {
  const writer = new ByteWriter();
  const entry = (body: ByteWriter) => {
    body.align(4);
    writer.u32(body.length);
    writer.bytes(body.finish());
  };
  const common = (augmentation: string): number => {
    const start = writer.length;
    const body = new ByteWriter();
    body.u32(0xffff_ffff);
    body.u8(1);
    body.string(augmentation);
    body.unsigned(1);
    body.signed(-4);
    body.u8(RETURN_ADDRESS);
    body.unsigned(0);
    body.bytes([CFA_DEF_CFA, ESP, 4, CFA_OFFSET | RETURN_ADDRESS, 1]);
    entry(body);
    return start;
  };
  const plain = common("z");
  const signal = common("zS");
  for (const { start, size, interrupted, instructions } of rows) {
    const body = new ByteWriter();
    body.u32(interrupted ? signal : plain);
    body.u32(start);
    body.u32(size);
    body.unsigned(0);
    body.bytes([...instructions]);
    entry(body);
  }
  return writer.finish();
}

/** The symbol file, for GDB's `add-symbol-file`. */
export function entryFrames(
  layout: KernelLayout,
  text: KernelText,
  symbols: ReadonlyMap<string, number>,
): Uint8Array {
  const { page, methods, stubSize, threadExit, serverReturn } = layout.proxies;
  const end = serverReturn + 16;
  const rows = [...callRows(layout, text, symbols), ...guardedRow(symbols)];
  rows.push({ start: page, size: methods * stubSize, interrupted: false, instructions: [] });
  // A return address is looked up one byte before it.
  rows.push({
    start: threadExit - 1,
    size: end - threadExit + 1,
    interrupted: false,
    instructions: OUTERMOST,
  });
  const exit = symbols.get("kernelThreadExit");
  const body = symbols.get("kernelThreadExitBody");
  if (exit !== undefined && body !== undefined) {
    rows.push({ start: exit, size: body - exit, interrupted: false, instructions: OUTERMOST });
  }

  const named = (name: string, value: number, size: number): ElfSymbol => ({
    name,
    value,
    size,
    binding: STB_GLOBAL,
    type: STT_FUNC,
    section: 1,
  });
  const strings = new StringTable();
  const table = writeSymbols(
    [
      ...Array.from({ length: methods }, (_, n) => named(`proxyMethod${n}`, page + n * stubSize, stubSize)),
      named("threadExit", threadExit - 1, serverReturn - threadExit + 1),
      named("serverReturn", serverReturn, 16),
    ],
    strings,
  );
  const names = strings.finish();
  const frames = frameInformation(rows);
  const section = (name: string, type: number, bytes: Uint8Array) => ({
    name,
    type,
    flags: 0,
    address: 0,
    size: bytes.length,
    bytes,
    alignment: 4,
  });
  return writeElf({
    type: ET_EXEC,
    entry: 0,
    segments: [],
    sections: [
      {
        name: ".text",
        type: SHT_NOBITS,
        flags: SHF_ALLOC | SHF_EXECINSTR,
        address: page,
        size: end - page,
        alignment: 4,
      },
      section(".debug_frame", SHT_PROGBITS, frames),
      { ...section(".symtab", SHT_SYMTAB, table), link: ".strtab", info: 1, entrySize: SYMBOL_SIZE },
      section(".strtab", SHT_STRTAB, names),
    ],
  });
}
