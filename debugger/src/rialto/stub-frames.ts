/**
 * Frame rules for every instruction of the kernel's entry code (i386/traps.asm.ts) and of the stubs for calls to other programs'
 * objects (i386/remote-stubs.asm.ts), which no compiler has described: where the frame lies that the trap pushed, from the first
 * instruction of a stub to its IRET. They are found by following the stack through the code.
 *
 *   words below a frame once the stub has saved all:  edi esi ebp – ebx edx ecx eax es ds vector error | eip cs eflags [esp ss]
 *
 * The frame is first found from ESP; when ESP has gone to the first-level stack, through the register that the stub pushes next; from
 * then on through that word; on the way back through the record of the thread `current`. That a record has ESP and SS is known; elsewhere
 * CS tells whether the trap changed the ring. Assumption: entry code changes ESP by the instructions of `follow` only.
 */
import { disassemble } from "@rialto/machine/i386/disassembler.ts";
import {
  atRegister,
  callerStack,
  deref,
  type FrameRow,
  type Operations,
  plus,
  Register,
  saved,
  stackOfTrap,
} from "./frame-rules.ts";

/** The kernel's code: bytes and where they lie. */
export interface KernelText {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/** Bytes of what a stub saves below the frame: `pushad`, ES, DS, vector, error code. */
export const SAVED = 48;
const SAVED_REGISTERS = ["EDI", "ESI", "EBP", undefined, "EBX", "EDX", "ECX", "EAX"] as const;
const NAMES = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];

/** Where EIP of the interrupted code is: `offset` from a register, or from the word at ESP. */
interface Found {
  readonly by: number | "word";
  readonly offset: number;
  /** The general registers are saved below it. */
  readonly all: boolean;
  /** It is in a thread's record, which has ESP and SS. */
  readonly record: boolean;
}

interface State {
  readonly found: Found;
  /** General registers that hold an address at a known distance from a frame. */
  readonly pointers: ReadonlyMap<number, Found>;
}

export interface EntryPoint {
  readonly address: number;
  /** Bytes from ESP to the frame's EIP; with all of `SAVED`, the general registers are saved. */
  readonly depth: number;
  /** Bits of CS that are set when the trap changed the ring; undefined where code is called: its frame is the return address. */
  readonly ringBits: number | undefined;
}

/** The code's global variables, by address: the current thread's record, the top of the first-level stack. */
export interface EntryVariables {
  readonly current: number;
  readonly stackTop: number;
}

function rules({ by, offset, all, record }: Found, ringBits: number | undefined): number[] {
  const frame = (bytes: number): Operations =>
    by === "word"
      ? [...atRegister(Register.ESP), ...deref, ...plus(bytes)]
      : [...atRegister(by), ...plus(bytes)];
  if (ringBits === undefined)
    return [...callerStack(frame(offset + 4)), ...saved(Register.EIP, frame(offset))];
  const stack = record ? [...plus(12), ...deref] : stackOfTrap(ringBits);
  const general = SAVED_REGISTERS.flatMap((name, index) =>
    name && all ? saved(Register[name], frame(offset - SAVED + 4 * index)) : [],
  );
  return [
    ...callerStack([...frame(offset), ...stack]),
    ...saved(Register.EIP, frame(offset)),
    ...saved(Register.EFLAGS, frame(offset + 8)),
    ...general,
  ];
}

const inRecord = (by: number | "word"): Found => ({ by, offset: SAVED, all: true, record: true });

/** What an instruction does to a state; `next` is the text of the instruction behind it. */
function follow(
  text: string,
  next: string,
  { found, pointers }: State,
  { current, stackTop }: EntryVariables,
): State {
  const [mnemonic, operands = ""] = text.split(/ (.*)/s);
  const [to = "", from = ""] = operands.split(", ");
  const register = NAMES.indexOf(to);
  const deeper = (bytes: number, all = found.all): State => ({
    found: found.by === Register.ESP ? { ...found, offset: found.offset + bytes, all } : found,
    pointers,
  });
  const changed = (more: readonly (readonly [number, Found])[]): State => {
    const kept = [...pointers].filter(([held]) => held !== register);
    return { found, pointers: new Map([...kept, ...more]) };
  };
  const isGlobal = (address: number) => from === `dword ptr [0x${address.toString(16)}]`;
  switch (mnemonic) {
    case "push": {
      const isPointer = found.by === register && register !== Register.ESP;
      return isPointer ? { found: { ...found, by: "word" }, pointers } : deeper(4);
    }
    case "pop":
      return deeper(-4);
    case "pushad":
      return deeper(32, true);
    case "popad":
      return { ...deeper(-32, false), pointers: new Map() };
    case "add":
      return to === "esp" ? deeper(-Number(from)) : changed([]);
    case "mov":
      break;
    case "call":
      return { found, pointers: new Map() };
    case "rep":
    case "movsd":
      return { found, pointers: new Map([...pointers].filter(([held]) => held < Register.ESI)) };
    default:
      return /^(test|cmp|cld|j\w+)$/.test(mnemonic) ? { found, pointers } : changed([]);
  }
  if (to === "esp") {
    if (isGlobal(stackTop)) {
      const held = NAMES.indexOf(next.replace("push ", ""));
      return { found: pointers.get(held) ?? found, pointers };
    }
    if (isGlobal(current)) return { found: inRecord(Register.ESP), pointers };
    const pointer = pointers.get(NAMES.indexOf(from));
    if (pointer) return { found: { ...pointer, by: Register.ESP }, pointers };
    // The interrupted stack of a ring 0 thread, at the frame that IRET takes.
    return { found: { by: Register.ESP, offset: 0, all: false, record: false }, pointers };
  }
  if (register < 0) return { found, pointers };
  if (isGlobal(current)) {
    const state = changed([[register, inRecord(register)]]);
    return found.by === "word" ? { found: inRecord(register), pointers: state.pointers } : state;
  }
  const copied = from === "esp" && found.by === Register.ESP ? found : pointers.get(NAMES.indexOf(from));
  return changed(copied ? [[register, { ...copied, by: register }]] : []);
}

/** Rows for all code that is reached from the entry points. */
export function stubRows(
  text: KernelText,
  entries: readonly EntryPoint[],
  variables: EntryVariables,
): FrameRow[] {
  const at = (address: number) => disassemble(text.bytes, address - text.address, address);
  const rows = new Map<number, FrameRow>();
  const pending = entries.map(({ address, depth, ringBits }) => ({
    address,
    ringBits,
    state: {
      found: { by: Register.ESP, offset: depth, all: depth === SAVED, record: false },
      pointers: new Map(),
    } as State,
  }));
  for (let path = pending.pop(); path; path = pending.pop()) {
    let { address, state } = path;
    let taken = 0;
    while (!rows.has(address)) {
      const line = at(address);
      const end = address + line.length;
      // A handler's return address is looked up as it is: the row of a call holds the byte behind it too.
      const more = line.text.startsWith("call") ? 1 : 0;
      rows.set(address, {
        start: address + taken,
        size: line.length - taken + more,
        interrupted: path.ringBits !== undefined,
        instructions: rules(state.found, path.ringBits),
      });
      state = follow(line.text, at(end).text, state, variables);
      const target = /^j\w+ 0x([0-9a-f]+)$/.exec(line.text)?.[1];
      if (target) pending.push({ address: Number.parseInt(target, 16), ringBits: path.ringBits, state });
      if (/^(jmp|iretd|ret)/.test(line.text)) break;
      address = end;
      taken = more;
    }
  }
  return [...rows.values()];
}
