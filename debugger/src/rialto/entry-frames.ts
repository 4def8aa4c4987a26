/**
 * A symbol file about code that the compiler knows nothing of: the kernel's entry stubs (i386/traps.asm.ts) and the proxies of every
 * process (i386/proxies.asm.ts). With it GDB names the proxies, steps over calls through them, and goes back through traps: from a
 * stub or a handler to the code that was interrupted, from a system call to the process that made it.
 *
 * Frames that interrupted something are marked as signal frames, since their return address is no call's.
 * User addresses are followed by the debugger's second rule for addresses (addresses.ts).
 * Source: thread record and frames as drawn in traps.asm.ts; the rules of every stub: stub-frames.ts.
 */
import { StringTable } from "@rialto/toolchain/link/byte-writer.ts";
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
import {
  atRegister,
  callerStack,
  deref,
  type FrameRow,
  frameInformation,
  linkedTask,
  OUTERMOST,
  plus,
  Register,
  saved,
} from "./frame-rules.ts";
import type { KernelLayout } from "./layout.ts";
import { type EntryPoint, type KernelText, SAVED, stubRows } from "./stub-frames.ts";

const CALL = 0xe8;
const CALL_SIZE = 5;
/** First-level code is at ring 0; a trap from kernel level, ring 0 or 1, to itself changes no ring. */
const LEFT_FOR_RING_0 = 3;
const LEFT_FOR_KERNEL_LEVEL = 2;
const PUSH_IMMEDIATE = 0x6a;
const PUSH_IMMEDIATE_SIZE = 2;

/** Where traps, and calls of stubs, arrive in the kernel's code. */
function entryPoints(
  { methods, stubSize }: KernelLayout["proxies"],
  text: KernelText,
  symbols: ReadonlyMap<string, number>,
): EntryPoint[] {
  const { bytes, address } = text;
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const atThreadLevel = ["systemCallEntry", "serverReturnEntry"].flatMap((name) => symbols.get(name) ?? []);
  const points: EntryPoint[] = atThreadLevel.map((entry) => ({
    address: entry,
    depth: 0,
    ringBits: LEFT_FOR_KERNEL_LEVEL,
  }));
  for (const [first, end] of [
    ["firstLevelStubsAddresses", "trapStubTable"],
    ["ring0StubsAddresses", "ring0StubTable"],
  ]) {
    const table = symbols.get(first) ?? 0;
    for (let at = table; at < (symbols.get(end) ?? 0); at += 4) {
      const stub = words.getUint32(at - address, true);
      if (atThreadLevel.includes(stub)) continue;
      // A stub pushes the vector, and before it, where the processor pushes no error code, something in its place.
      const second = bytes[stub - address + PUSH_IMMEDIATE_SIZE];
      points.push({
        address: stub,
        depth: second === PUSH_IMMEDIATE ? 0 : 4,
        ringBits: LEFT_FOR_RING_0,
      });
    }
  }
  for (const name of ["memoryFault", "exception", "exit", "overstay"]) {
    const body = symbols.get(`${name}EntryBody`);
    if (body !== undefined) points.push({ address: body, depth: SAVED, ringBits: LEFT_FOR_KERNEL_LEVEL });
  }
  for (const name of ["remoteStubs", "doorStubs"]) {
    const first = symbols.get(name);
    for (let method = 0; first !== undefined && method < methods; method++)
      points.push({ address: first + method * stubSize, depth: 0, ringBits: undefined });
  }
  return points;
}

/** The frame of the call by which boot code enters the compiled kernel has no caller. */
function bootRow(text: KernelText, symbols: ReadonlyMap<string, number>): FrameRow[] {
  const start = callAfter(text, symbols.get("startPaged"), symbols.get("bootMain"));
  if (start === undefined) return [];
  return [{ start, size: CALL_SIZE + 1, interrupted: false, instructions: OUTERMOST }];
}

/**
 * A method that the kernel calls on the caller's words in place (guardedInvoke): EBP is at a record of EBP, return address, ESP, EBX,
 * ESI, EDI. The stack goes back down to the caller there, which GDB takes from signal frames alone.
 */
function guardedRow(symbols: ReadonlyMap<string, number>): FrameRow[] {
  const after = symbols.get("leaveInvoke");
  if (after === undefined) return [];
  const inRecord = (offset: number) => atRegister(Register.EBP, offset);
  const instructions = [
    ...callerStack([...inRecord(8), ...deref, ...plus(4)]),
    ...saved(Register.EIP, inRecord(4)),
    ...saved(Register.EBP, inRecord(0)),
    ...saved(Register.EBX, inRecord(12)),
    ...saved(Register.ESI, inRecord(16)),
    ...saved(Register.EDI, inRecord(20)),
  ];
  return [{ start: after - 1, size: 2, interrupted: true, instructions }];
}

/** Tasks of task gates (i386/tasks.ts): the interrupted registers are in the state of the task that the own one, at EDI, links to. */
function taskRows({ task, taskState }: KernelLayout, symbols: ReadonlyMap<string, number>): FrameRow[] {
  const state = [
    ...atRegister(Register.EDI),
    ...linkedTask(atRegister(Register.ESI), taskState.selector, taskState.size),
  ];
  const field = (name: string) => [...state, ...plus(task(name))];
  const general = ["eip", "eflags", "eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"] as const;
  const instructions = [
    ...callerStack([...field("esp"), ...deref]),
    ...general.flatMap((name) => saved(Register[name.toUpperCase() as keyof typeof Register], field(name))),
  ];
  return ["interruptTask", "faultTask"].flatMap((name) => {
    const [start, end] = [symbols.get(`${name}Body`), symbols.get(name)];
    if (start === undefined || end === undefined) return [];
    return [{ start, size: end - start, interrupted: true, instructions }];
  });
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

/** The symbol file, for GDB's `add-symbol-file`. */
export function entryFrames(
  layout: KernelLayout,
  text: KernelText,
  symbols: ReadonlyMap<string, number>,
): Uint8Array {
  const { page, methods, stubSize, threadExit, serverReturn } = layout.proxies;
  const end = serverReturn + 16;
  const current = symbols.get("os/kernel/threads/scheduler/current");
  const stackTop = symbols.get("os/kernel/i386/processor/firstLevelStack");
  const rows = [...bootRow(text, symbols), ...guardedRow(symbols), ...taskRows(layout, symbols)];
  if (current !== undefined && stackTop !== undefined) {
    rows.push(...stubRows(text, entryPoints(layout.proxies, text, symbols), { current, stackTop }));
  }
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
