/**
 * Where the processor's state lives. All of it that instructions touch is in one Int32Array, so that an access is one
 * machine instruction of the host; `Slot` names the words, `Field` the words of a decoded instruction.
 *
 * Registers can be read as bytes and words through views of the same buffer (the host is little-endian, as every host of
 * JavaScript today). A "register index" in a decoded instruction counts in units of the operand's size: AH is byte 1,
 * SP is word 8, ESP is double word 4.
 *
 * Hot files copy the constants that they use into local `const`s: an imported binding is a memory cell to the host's
 * compiler, a local constant is an immediate.
 */

export const Slot = {
  EAX: 0,
  ECX: 1,
  EDX: 2,
  EBX: 3,
  ESP: 4,
  EBP: 5,
  ESI: 6,
  EDI: 7,
  /** Always zero: base or index of an address that has none. */
  ZERO: 8,

  // Lazy flags, see flags.ts.
  FLAG_KIND: 9,
  FLAG_RESULT: 10,
  FLAG_LEFT: 11,
  FLAG_RIGHT: 12,
  FLAG_CARRY: 13,
  /** EFLAGS without the six arithmetic bits (those count only when FLAG_KIND says "stored"). */
  EFLAGS: 14,

  /** Cycles left until the deadline; `now` = deadline - BUDGET. */
  BUDGET: 15,
  /** Instructions retired since the counter was last emptied. */
  RETIRED: 16,
  /** 0 when CPL is 0 to 2, SOFT_TLB_SETS when it is 3: selects the half of the soft TLB. */
  MODE: 17,
  CPL: 18,
  /** Set by control transfers and faults; stale inside straight-line code. */
  EIP: 19,
  /** Linear page number of the code page in use, or -1; offset in CS of its first byte. */
  CODE_PAGE: 20,
  PAGE_EIP: 21,
  /** 1 while the next instruction is looked for: a fault then belongs to it, at EIP. */
  FETCHING: 22,
  /** Before the next instruction has run: 1 no interrupt (STI), 2 no interrupt and no debug trap (MOV SS, POP SS). */
  SHADOW: 23,

  // Descriptor caches: index with a segment number (Segment).
  BASE: 24,
  SELECTOR: 32,
  LIMIT: 40,
  /** Second word of the descriptor with its base bits cleared; bit 0 set when usable. */
  ACCESS: 48,

  CR0: 56,
  CR2: 57,
  CR3: 58,
  CR4: 59,
  GDT_BASE: 60,
  GDT_LIMIT: 61,
  IDT_BASE: 62,
  IDT_LIMIT: 63,
  /** DR0 to DR7 are 64 to 71. */
  DR0: 64,
  DR6: 70,
  DR7: 71,

  /** Debug conditions met by the instruction under way (bits as in DR6). */
  DEBUG_PENDING: 72,
  /** 1 in HLT. */
  HALTED: 73,
  /** 1 after a triple fault. */
  SHUTDOWN: 74,
  /** 1 when CR0.AM, EFLAGS.AC and CPL 3 demand alignment checks. */
  ALIGNMENT_CHECK: 75,
  /** 1 while an exception or hardware interrupt is delivered: the EXT bit of error codes. */
  EXTERNAL: 76,
  /** Pool index of the instruction that faulted. */
  FAULT_RECORD: 77,
  /** 1 while the INTR pin is high. */
  INTERRUPT_LINE: 78,
  /** 1 when some instruction breakpoint of DR7 is enabled. */
  CODE_BREAKPOINTS: 79,
  /** 1 when a repeated string instruction was left between two repetitions and nothing was delivered since. */
  REPEATING: 80,
  /** Counts deliveries of exceptions and interrupts; only changes matter. */
  DELIVERIES: 81,
  /** Set to 1 when repetitions of an unfinished string instruction ran. */
  PARTIAL: 82,

  /**
   * Bit n is set when segment n is flat: base 0, limit FFFFFFFFH, readable and writable (CS: the limit alone). Bit n + 8: the same, with
   * any base.
   */
  FLAT_SEGMENTS: 83,
  /** Record of the instruction that faulted in compiled code, 0 when none did. */
  COMPILED_FAULT: 84,
  /** 1 from a translation that failed until its caller has seen it; `pendingFault` says why. */
  TRANSLATION_FAILED: 85,
  /** Physical address of the code page that was used last; that of CODE_PAGE when there is one. */
  CODE_FRAME: 86,

  LENGTH: 128,
} as const;

export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** Words of a decoded instruction in the pool. */
export const Field = {
  /** Number that the interpreter switches on. */
  OPERATION: 0,
  CLOCKS: 1,
  /** Offset of the first byte in its page. */
  OFFSET: 2,
  /** Length in bytes. */
  BYTES: 3,
  /** Index of the register operand, in units of its size. */
  REG: 4,
  /** Index of the ModR/M register operand in units of its size, or -1 for memory. */
  RM: 5,
  /** Effective address: slots of base and index, shift of the index, displacement. */
  BASE: 6,
  INDEX: 7,
  SCALE: 8,
  DISPLACEMENT: 9,
  SEGMENT: 10,
  /** Immediate; of near branches the target relative to the code page's first byte. */
  IMMEDIATE: 11,
  /** Branches inside a page: pool index of the target, 0 until it is looked up. */
  LINK: 12,
  /** Operand size in bytes. */
  SIZE: 13,
  /** Bits of `Prefix`; ModR/M in bits 8 to 15; opcode's low byte in bits 16 to 23. */
  PREFIX: 14,
  /** Second immediate, condition, or what else the operation needs. */
  EXTRA: 15,
  WORDS: 16,
} as const;

export const Prefix = {
  ADDRESS_16: 1,
  REP: 2,
  REPNE: 4,
  LOCK: 8,
  /** The operands are: 0 rm, reg; 1 reg, rm; 2 rm, immediate. */
  FORM_SHIFT: 4,
  MODRM_SHIFT: 8,
  OPCODE_SHIFT: 16,
} as const;

/** Sets of the Pentium's 4 KB data TLB; the soft TLB holds the most recently used page of each, twice (by privilege). */
export const SOFT_TLB_SETS = 16;
/** Sets of the code TLB. */
export const SOFT_CODE_SETS = 8;

/** Bits of ACCESS words. */
export const Access = {
  USABLE: 0x1,
  ACCESSED: 0x100,
  WRITABLE: 0x200,
  EXPAND_DOWN: 0x400,
  CODE: 0x800,
  NOT_SYSTEM: 0x1000,
  DPL_SHIFT: 13,
  PRESENT: 0x8000,
  BIG: 0x40_0000,
  GRANULAR: 0x80_0000,
} as const;

export const ControlBit = {
  CR0_PE: 0x1,
  CR0_MP: 0x2,
  CR0_EM: 0x4,
  CR0_TS: 0x8,
  CR0_ET: 0x10,
  CR0_NE: 0x20,
  CR0_WP: 0x1_0000,
  CR0_AM: 0x4_0000,
  CR0_NW: 0x2000_0000,
  CR0_CD: 0x4000_0000,
  CR0_PG: 0x8000_0000 | 0,
  CR4_TSD: 0x4,
  CR4_DE: 0x8,
  CR4_PSE: 0x10,
  CR4_MCE: 0x40,
} as const;

export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
} as const;
