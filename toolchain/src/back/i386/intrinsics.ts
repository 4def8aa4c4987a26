/**
 * The ambient functions of guest code (os/ambient.d.ts) as i386 code. Each is an ordered effect: the optimiser neither
 * merges nor moves them, and moves no load or store across them.
 */
import type { Instruction } from "../ir/instructions.ts";
import { EAX, EBP, EDX, ESP, immediate, type MemoryReference, register } from "./code.ts";
import type { Selector } from "./select.ts";

export interface Intrinsic {
  readonly operands: number;
  readonly hasResult: boolean;
  emit(s: Selector, i: Instruction): void;
}

function make(operands: number, hasResult: boolean, emit: Intrinsic["emit"]): Intrinsic {
  return { operands, hasResult, emit };
}

function memoryAt(s: Selector, i: Instruction, size: MemoryReference["size"]): MemoryReference {
  let base: Instruction | undefined = i.operands[0];
  let displacement = 0;
  let symbol: string | undefined;
  if (base.operation === "add" && base.operands[1].operation === "constant") {
    displacement = base.operands[1].constant as number;
    base = base.operands[0];
  } else if (base.operation === "address") {
    symbol = base.symbol;
    displacement = base.offset;
    base = undefined;
  }
  return s.address(base, symbol, displacement, size);
}

const accumulators = { 1: "al", 2: "ax", 4: "eax" } as const;

function portIn(size: 1 | 2 | 4): Intrinsic {
  return make(1, true, (s, i) => {
    const [port] = i.operands;
    const value = { kind: "named", name: accumulators[size] } as const;
    if (port.operation === "constant" && (port.constant as number) >>> 8 === 0) {
      s.emit("in", [value, immediate(port.constant as number)], { writes: 1 << EAX });
    } else {
      s.emit("mov", [register(EDX), s.useAny(port)]);
      s.emit("in", [value, { kind: "named", name: "dx" }], { reads: 1 << EDX, writes: 1 << EAX });
    }
    if (size < 4) s.emit("movzx", [register(EAX), register(EAX, size)]);
    if (s.isWanted(i)) s.emit("mov", [s.destination(i), register(EAX)]);
  });
}

function portOut(size: 1 | 2 | 4): Intrinsic {
  return make(2, false, (s, i) => {
    const [port, value] = i.operands;
    const accumulator = { kind: "named", name: accumulators[size] } as const;
    s.emit("mov", [register(EAX), s.useAny(value)]);
    if (port.operation === "constant" && (port.constant as number) >>> 8 === 0) {
      s.emit("out", [immediate(port.constant as number), accumulator], { reads: 1 << EAX });
    } else {
      s.emit("mov", [register(EDX), s.useAny(port)]);
      s.emit("out", [{ kind: "named", name: "dx" }, accumulator], { reads: (1 << EAX) | (1 << EDX) });
    }
  });
}

function volatileLoad(size: 1 | 2 | 4): Intrinsic {
  return make(1, true, (s, i) => {
    const d = s.isWanted(i) ? s.destination(i) : s.temporary();
    s.emit(size === 4 ? "mov" : "movzx", [d, memoryAt(s, i, size)]);
  });
}

function volatileStore(size: 1 | 2 | 4): Intrinsic {
  return make(2, false, (s, i) => {
    const value = s.use(i.operands[1]);
    const memory = memoryAt(s, i, size);
    if (value.kind === "register") s.emit("mov", [memory, register(value.id, size)]);
    else if (value.kind === "immediate") {
      const shift = 32 - 8 * size;
      s.emit("mov", [memory, immediate((value.value << shift) >> shift)]);
    } else s.emit("mov", [memory, value]);
  });
}

/** MOV from a register that only MOV reads. */
function readRegister(name: string): Intrinsic {
  return make(0, true, (s, i) => {
    if (s.isWanted(i)) s.emit("movFrom", [s.destination(i), { kind: "named", name }]);
  });
}

function writeRegister(name: string): Intrinsic {
  return make(1, false, (s, i) => s.emit("movTo", [{ kind: "named", name }, s.useRegister(i.operands[0])]));
}

function plain(op: string): Intrinsic {
  return make(0, false, (s) => s.emit(op));
}

/** A stackAlloc of more jumps over pages that must be touched in order. */
const pageSize = 4096;

export const intrinsics: Readonly<Record<string, Intrinsic | undefined>> = {
  stackAlloc: make(1, true, (s, i) => {
    s.out.needsFrame = true;
    const [size] = i.operands;
    const d = s.isWanted(i) ? s.destination(i) : s.temporary();
    if (size.operation === "constant" && (size.constant as number) >>> 0 <= pageSize) {
      // The alignment stays inside the page that the subtraction reaches, and that page is touched at once.
      s.emit("sub", [register(ESP), immediate(((size.constant as number) + 15) & ~15)]);
      s.emit("and", [register(ESP), immediate(-16)]);
      s.emit("touchStack");
      s.emit("mov", [d, register(ESP)]);
      return;
    }
    s.emit("mov", [d, s.useAny(size)]);
    s.emit("stackAllocate", [d, s.temporary()]);
  }),
  portIn8: portIn(1),
  portIn16: portIn(2),
  portIn32: portIn(4),
  portOut8: portOut(1),
  portOut16: portOut(2),
  portOut32: portOut(4),
  volatileLoad8: volatileLoad(1),
  volatileLoad16: volatileLoad(2),
  volatileLoad32: volatileLoad(4),
  volatileStore8: volatileStore(1),
  volatileStore16: volatileStore(2),
  volatileStore32: volatileStore(4),
  atomicExchange: make(2, true, (s, i) => {
    const t = s.temporary();
    s.emit("mov", [t, s.useAny(i.operands[1])]);
    s.emit("xchg", [memoryAt(s, i, 4), t]);
    if (s.isWanted(i)) s.emit("mov", [s.destination(i), t]);
  }),
  atomicCompareExchange: make(3, true, (s, i) => {
    const [, expected, value] = i.operands;
    s.emit("mov", [register(EAX), s.useAny(expected)]);
    s.emit("lockCmpxchg", [memoryAt(s, i, 4), s.useRegister(value)], { reads: 1 << EAX, writes: 1 << EAX });
    if (s.isWanted(i)) s.emit("mov", [s.destination(i), register(EAX)]);
  }),
  atomicAdd: make(2, true, (s, i) => {
    if (!s.isWanted(i)) {
      s.emit("lockAdd", [memoryAt(s, i, 4), s.use(i.operands[1])]);
      return;
    }
    const t = s.temporary();
    s.emit("mov", [t, s.useAny(i.operands[1])]);
    s.emit("lockXadd", [memoryAt(s, i, 4), t]);
    s.emit("mov", [s.destination(i), t]);
  }),
  timeStamp: make(0, true, (s, i) => {
    s.emit("rdtsc", [], { writes: (1 << EAX) | (1 << EDX) });
    s.takeResults(i);
  }),
  codeSegment: make(0, true, (s, i) => {
    if (!s.isWanted(i)) return;
    const d = s.destination(i);
    s.emit("movFrom", [d, { kind: "named", name: "cs" }]);
    // The upper half is undefined on a Pentium.
    s.emit("and", [d, immediate(0xffff)]);
  }),
  stackPointer: make(0, true, (s, i) => {
    if (s.isWanted(i)) s.emit("mov", [s.destination(i), register(ESP)]);
  }),
  framePointer: make(0, true, (s, i) => {
    s.out.needsFrame = true;
    if (s.isWanted(i)) s.emit("mov", [s.destination(i), register(EBP)]);
  }),
  readFlags: make(0, true, (s, i) => {
    s.out.needsFrame = true;
    s.emit("pushfd");
    s.emit("pop", [s.isWanted(i) ? s.destination(i) : s.temporary()]);
  }),
  writeFlags: make(1, false, (s, i) => {
    s.out.needsFrame = true;
    s.emit("push", [s.useAny(i.operands[0])]);
    s.emit("popfd");
  }),
  disableInterrupts: plain("cli"),
  enableInterrupts: plain("sti"),
  halt: plain("hlt"),
  readControl0: readRegister("cr0"),
  readControl2: readRegister("cr2"),
  readControl3: readRegister("cr3"),
  writeControl0: writeRegister("cr0"),
  writeControl3: writeRegister("cr3"),
  invalidatePage: make(1, false, (s, i) => s.emit("invlpg", [memoryAt(s, i, 0)])),
};
