/**
 * Segment loads, descriptor-table and control registers, ports, identification, HLT. Source: Pentium Processor Family Developer's
 * Manual, volume 3, chapters 10 (system registers), 12, 23 and 25. A Pentium 75 (family 5, model 2, stepping 12) without MMX.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Debugging } from "./debugging.ts";
import type { Decoder } from "./decoder.ts";
import { raise } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { IOPL, ZF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Access, ControlBit, Field, Prefix, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Operands } from "./operands.ts";
import type { Paging } from "./paging.ts";
import type { Ports } from "./ports.ts";
import {
  type Descriptor,
  descriptorDpl,
  descriptorLimit,
  isConformingCode,
  type Segments,
} from "./segments.ts";
import { Counter } from "./statistics.ts";
import { systemType, TSS_AVAILABLE } from "./tasks.ts";

/** Family 5, model 2, stepping 12. */
const SIGNATURE = 0x52c;
/** FPU, VME absent, DE, PSE, TSC, MSR, MCE, CX8. */
const FEATURES = 0x1 | 0x4 | 0x8 | 0x10 | 0x20 | 0x80 | 0x100;
const VENDOR = [0x756e_6547, 0x4965_6e69, 0x6c65_746e] as const;

const CR0_WRITABLE =
  ControlBit.CR0_PE |
  ControlBit.CR0_MP |
  ControlBit.CR0_EM |
  ControlBit.CR0_TS |
  ControlBit.CR0_NE |
  ControlBit.CR0_WP |
  ControlBit.CR0_AM |
  ControlBit.CR0_NW |
  ControlBit.CR0_CD |
  ControlBit.CR0_PG;
const CR4_WRITABLE = ControlBit.CR4_TSD | ControlBit.CR4_DE | ControlBit.CR4_PSE | ControlBit.CR4_MCE;

const MSR_MACHINE_CHECK_ADDRESS = 0;
const MSR_MACHINE_CHECK_TYPE = 1;
const MSR_TIME_STAMP = 0x10;
const MSR_EVENT_CONTROL = 0x11;
const MSR_EVENT_COUNTER_0 = 0x12;
const MSR_EVENT_COUNTER_1 = 0x13;

/** Segment types that LAR accepts besides code and data: TSSs, LDT, call and task gates. LSL: TSSs and LDT. */
const LAR_TYPES = new Set([1, 2, 3, 4, 5, 9, 11, 12]);
const LSL_TYPES = new Set([1, 2, 3, 9, 11]);

export function createSystemHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  paging: Paging,
  flags: Flags,
  operands: Operands,
  decoder: Decoder,
  segments: Segments,
  ports: Ports,
  debugging: Debugging,
): Record<string, Handler> {
  const { s, counters } = core;
  const { pool } = codeCache;
  const { EAX, ECX, EDX, EBX, CPL, EFLAGS, CR0, CR2, CR3, CR4, SELECTOR } = Slot;
  const { REG, RM, SEGMENT, IMMEDIATE, SIZE, PREFIX, BYTES, OFFSET, WORDS } = Field;
  const { readRm, writeRm, address } = operands;
  const descriptor: Descriptor = { low: 0, high: 0 };
  const next = (p: number): number => (s[Slot.PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0;

  /** Continues at the next instruction after the way to it may have changed. */
  function refetch(p: number): number {
    const eip = next(p);
    s[Slot.CODE_PAGE] = -1;
    return decoder.locate(eip);
  }

  function requireRing0(): void {
    if (s[CPL] !== 0) raise(Vector.GP, 0);
  }

  function setZero(value: boolean): void {
    const rest = flags.read() & ~ZF;
    flags.writeArithmetic(value ? rest | ZF : rest);
  }

  function writeCr0(value: number): void {
    if ((value & ControlBit.CR0_PG) !== 0 && (value & ControlBit.CR0_PE) === 0) raise(Vector.GP, 0);
    if ((value & ControlBit.CR0_NW) !== 0 && (value & ControlBit.CR0_CD) === 0) raise(Vector.GP, 0);
    const before = s[CR0]!;
    s[CR0] = (value & CR0_WRITABLE) | ControlBit.CR0_ET | ControlBit.CR0_PE;
    if (((before ^ value) & (ControlBit.CR0_PG | ControlBit.CR0_WP)) !== 0) paging.flush();
    memory.updateAlignmentCheck();
  }

  function movToControl(p: number): number {
    requireRing0();
    const value = s[pool[p + RM]!]!;
    switch (pool[p + REG]) {
      case 0:
        writeCr0(value);
        break;
      case 2:
        s[CR2] = value;
        break;
      case 3:
        s[CR3] = value & 0xfffff018;
        counters[Counter.CR3_LOADS]!++;
        paging.flush();
        break;
      case 4:
        if ((value & ~CR4_WRITABLE) !== 0) raise(Vector.GP, 0);
        if (((s[CR4]! ^ value) & ControlBit.CR4_PSE) !== 0) paging.flush();
        s[CR4] = value;
        break;
      default:
        raise(Vector.UD);
    }
    return refetch(p);
  }

  function movFromControl(p: number): number {
    requireRing0();
    const register = [CR0, -1, CR2, CR3, CR4, -1, -1, -1][pool[p + REG]!]!;
    if (register < 0) raise(Vector.UD);
    s[pool[p + RM]!] = s[register]!;
    return p + WORDS;
  }

  function loadTable(baseSlot: number, limitSlot: number): Handler {
    return (p) => {
      requireRing0();
      const segment = pool[p + SEGMENT]!;
      const offset = address(p);
      const limit = memory.read16(segment, offset);
      const base = memory.read32(segment, (offset + 2) | 0);
      s[baseSlot] = pool[p + SIZE] === 2 ? base & 0xff_ffff : base;
      s[limitSlot] = limit;
      return p + WORDS;
    };
  }

  function storeTable(baseSlot: number, limitSlot: number): Handler {
    return (p) => {
      const segment = pool[p + SEGMENT]!;
      const offset = address(p);
      memory.probeWrite(segment, offset, 2);
      memory.probeWrite(segment, (offset + 2) | 0, 4);
      memory.write16(segment, offset, s[limitSlot]!);
      memory.write32(segment, (offset + 2) | 0, s[baseSlot]!);
      return p + WORDS;
    };
  }

  /** SLDT, STR, SMSW, MOV r/m,Sreg: a register of operand size gets the value zero-extended, memory gets 2 bytes. */
  function store16(p: number, value: number): number {
    writeRm(p, pool[p + RM]! >= 0 ? pool[p + SIZE]! : 2, value);
    return p + WORDS;
  }

  /** Finds a descriptor that the current ring (and the selector's RPL) may look at, for LAR, LSL, VERR and VERW. */
  function visible(selector: number, systemTypes: ReadonlySet<number>): boolean {
    if ((selector & 0xfffc) === 0 || !segments.fetch(selector, descriptor)) return false;
    const { high } = descriptor;
    if ((high & Access.NOT_SYSTEM) === 0 && !systemTypes.has(systemType(high))) return false;
    if ((high & Access.NOT_SYSTEM) !== 0 && isConformingCode(high)) return true;
    const dpl = descriptorDpl(high);
    return dpl >= s[CPL]! && dpl >= (selector & 3);
  }

  function verify(write: boolean): Handler {
    const none = new Set<number>();
    return (p) => {
      const selector = readRm(p, 2) & 0xffff;
      let result = visible(selector, none);
      if (result) {
        const { high } = descriptor;
        const isCodeSegment = (high & Access.CODE) !== 0;
        const bit = (high & Access.WRITABLE) !== 0;
        result = write ? !isCodeSegment && bit : !isCodeSegment || bit;
      }
      setZero(result);
      return p + WORDS;
    };
  }

  function inPort(p: number): number {
    const size = pool[p + SIZE]!;
    const port = portOf(p);
    checkPort(port, size);
    operands.writeRegister(0, size, ports.read(port, size));
    return p + WORDS;
  }

  function outPort(p: number): number {
    const size = pool[p + SIZE]!;
    const port = portOf(p);
    checkPort(port, size);
    ports.write(port, size, operands.readRegister(0, size));
    return p + WORDS;
  }

  const usesDx = (p: number): boolean => ((pool[p + PREFIX]! >> Prefix.OPCODE_SHIFT) & 8) !== 0;
  const portOf = (p: number): number => (usesDx(p) ? s[EDX]! & 0xffff : pool[p + IMMEDIATE]!);

  function checkPort(port: number, size: number): void {
    if (s[CPL]! > (s[EFLAGS]! & IOPL) >> 12 && !ports.allowed(port, size)) raise(Vector.GP, 0);
  }

  function lldt(p: number): number {
    requireRing0();
    const selector = readRm(p, 2) & 0xffff;
    if ((selector & 0xfffc) === 0) {
      segments.setNull(Segment.LDTR, selector);
      return p + WORDS;
    }
    if ((selector & 4) !== 0 || !segments.fetch(selector, descriptor))
      raise(Vector.GP, segments.code(selector));
    if (systemType(descriptor.high) !== 2) raise(Vector.GP, segments.code(selector));
    if ((descriptor.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    segments.set(Segment.LDTR, selector, descriptor.low, descriptor.high);
    return p + WORDS;
  }

  function ltr(p: number): number {
    requireRing0();
    const selector = readRm(p, 2) & 0xffff;
    if ((selector & 0xfffc) === 0) raise(Vector.GP, 0);
    if ((selector & 4) !== 0 || !segments.fetch(selector, descriptor))
      raise(Vector.GP, segments.code(selector));
    if (systemType(descriptor.high) !== TSS_AVAILABLE) raise(Vector.GP, segments.code(selector));
    if ((descriptor.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const typeAddress = (segments.descriptorAddress(selector) + 5) | 0;
    memory.writeLinear(typeAddress, 1, ((descriptor.high >> 8) & 0xff) | 2, 0);
    segments.set(Segment.TR, selector, descriptor.low, descriptor.high | 0x200);
    return p + WORDS;
  }

  const timeStamp = (): number => core.now() + core.time[2]!;

  function setPair(value: number): void {
    s[EAX] = value % 0x1_0000_0000;
    s[EDX] = Math.floor(value / 0x1_0000_0000);
  }

  return {
    undefined: () => raise(Vector.UD),
    ud2: () => raise(Vector.UD),
    movFromSegment(p) {
      const segment = pool[p + REG]!;
      if (segment > 5) raise(Vector.UD);
      return store16(p, s[SELECTOR + segment]!);
    },
    movToSegment(p) {
      const segment = pool[p + REG]!;
      if (segment > 5 || segment === Segment.CS) raise(Vector.UD);
      segments.load(segment, readRm(p, 2) & 0xffff);
      if (segment === Segment.SS) {
        s[Slot.SHADOW] = 2;
        core.attention();
      }
      return p + WORDS;
    },
    arpl(p) {
      const destination = readRm(p, 2) & 0xffff;
      const source = operands.readRegister(pool[p + REG]!, 2) & 3;
      const raised = (destination & 3) < source;
      // Memory is written, and must be writable, only if the value changes.
      if (raised) {
        operands.modifyRm(p, 2);
        writeRm(p, 2, (destination & ~3) | source);
      }
      setZero(raised);
      return p + WORDS;
    },
    lar(p) {
      const result = visible(readRm(p, 2) & 0xffff, LAR_TYPES);
      if (result) operands.writeRegister(pool[p + REG]!, pool[p + SIZE]!, descriptor.high & 0x00f0_ff00);
      setZero(result);
      return p + WORDS;
    },
    lsl(p) {
      const result = visible(readRm(p, 2) & 0xffff, LSL_TYPES);
      if (result) {
        const limit = descriptorLimit(descriptor.low, descriptor.high);
        operands.writeRegister(pool[p + REG]!, pool[p + SIZE]!, limit);
      }
      setZero(result);
      return p + WORDS;
    },
    verr: verify(false),
    verw: verify(true),
    sldt: (p) => store16(p, s[SELECTOR + Segment.LDTR]!),
    str: (p) => store16(p, s[SELECTOR + Segment.TR]!),
    lldt,
    ltr,
    sgdt: storeTable(Slot.GDT_BASE, Slot.GDT_LIMIT),
    sidt: storeTable(Slot.IDT_BASE, Slot.IDT_LIMIT),
    lgdt: loadTable(Slot.GDT_BASE, Slot.GDT_LIMIT),
    lidt: loadTable(Slot.IDT_BASE, Slot.IDT_LIMIT),
    smsw: (p) => store16(p, s[CR0]!),
    lmsw(p) {
      requireRing0();
      // PE cannot be cleared this way; TS, EM and MP are copied.
      writeCr0((s[CR0]! & ~0xe) | (readRm(p, 2) & 0xe));
      return p + WORDS;
    },
    invlpg(p) {
      requireRing0();
      const linear = (s[Slot.BASE + pool[p + SEGMENT]!]! + address(p)) | 0;
      paging.invalidatePage(linear);
      return refetch(p);
    },
    clts(p) {
      requireRing0();
      s[CR0] = s[CR0]! & ~ControlBit.CR0_TS;
      return p + WORDS;
    },
    invd(p) {
      requireRing0();
      core.onCachesInvalidated();
      return p + WORDS;
    },
    wbinvd(p) {
      requireRing0();
      core.onCachesInvalidated();
      return p + WORDS;
    },
    movToControl,
    movFromControl,
    movToDebug(p) {
      requireRing0();
      debugging.write(pool[p + REG]!, s[pool[p + RM]!]!);
      return refetch(p);
    },
    movFromDebug(p) {
      requireRing0();
      s[pool[p + RM]!] = debugging.read(pool[p + REG]!);
      return p + WORDS;
    },
    rdtsc(p) {
      if ((s[CR4]! & ControlBit.CR4_TSD) !== 0 && s[CPL] !== 0) raise(Vector.GP, 0);
      setPair(timeStamp());
      return p + WORDS;
    },
    rdmsr(p) {
      requireRing0();
      switch (s[ECX]) {
        case MSR_TIME_STAMP:
          setPair(timeStamp());
          break;
        case MSR_MACHINE_CHECK_ADDRESS:
        case MSR_MACHINE_CHECK_TYPE:
        case MSR_EVENT_CONTROL:
        case MSR_EVENT_COUNTER_0:
        case MSR_EVENT_COUNTER_1:
          setPair(0);
          break;
        default:
          raise(Vector.GP, 0);
      }
      return p + WORDS;
    },
    wrmsr(p) {
      requireRing0();
      switch (s[ECX]) {
        case MSR_TIME_STAMP:
          core.time[2] = (s[EDX]! >>> 0) * 0x1_0000_0000 + (s[EAX]! >>> 0) - core.now();
          break;
        case MSR_MACHINE_CHECK_ADDRESS:
        case MSR_MACHINE_CHECK_TYPE:
        case MSR_EVENT_CONTROL:
        case MSR_EVENT_COUNTER_0:
        case MSR_EVENT_COUNTER_1:
          break;
        default:
          raise(Vector.GP, 0);
      }
      return p + WORDS;
    },
    cpuid(p) {
      if (s[EAX] === 0) {
        s[EAX] = 1;
        [s[EBX], s[EDX], s[ECX]] = VENDOR;
      } else {
        // Leaves above the highest answer as the highest does.
        s[EAX] = SIGNATURE;
        s[EBX] = 0;
        s[ECX] = 0;
        s[EDX] = FEATURES;
      }
      return p + WORDS;
    },
    hlt(p) {
      requireRing0();
      s[Slot.HALTED] = 1;
      core.attention();
      return p + WORDS;
    },
    in: inPort,
    out: outPort,
  };
}
