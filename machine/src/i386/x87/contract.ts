/**
 * The border between the processor and its floating-point unit. The processor decodes ESC opcodes (D8 to DF) only as far
 * as ModR/M and the effective address; everything else about them is the unit's.
 *
 * Restartability: the unit makes every memory access before it changes any of its state, so that an access that throws a
 * fault leaves it untouched. Unmasked exceptions become pending (`errorPending`) and are raised by the processor as #MF
 * before the next waiting floating-point instruction (Intel, Pentium Processor Family Developer's Manual, volume 3, chapter 6).
 */

/** Memory at the instruction's effective address; offsets in bytes from it. Accesses may throw a processor fault. */
export interface FloatingPointMemory {
  read16(offset: number): number;
  read32(offset: number): number;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
  /** Checks that `size` bytes from the address are writable, so that a multi-part store is all or nothing. */
  probeWrite(size: number): void;
}

/** What the unit needs from and gives back to the processor besides memory. */
export interface FloatingPointHost {
  /** Value for FNSTSW AX. */
  setAx(value: number): void;
  /** ZF, PF, CF as FCOMI would need are not part of a Pentium; kept out on purpose. */
  readonly instructionPointer: number;
  readonly codeSelector: number;
  readonly operandSize16: boolean;
}

export interface FloatingPointUnit {
  /** FNINIT: control word 0x037F, all registers empty. */
  reset(): void;
  readonly errorPending: boolean;
  /**
   * True when the instruction checks for a pending error first (all but FNINIT, FNCLEX, FNSTSW, FNSTCW, FNSTENV, FNSAVE, FNSETPM).
   */
  isWaiting(group: number, modrm: number): boolean;
  /**
   * Executes opcode D8 + `group` (0 to 7) with `modrm`. `address` and `dataSelector` are those of the memory operand (0 for
   * register forms). Returns the clocks it took beyond nothing (the table's number for that form), or -1 for an undefined opcode (#UD).
   */
  execute(
    group: number,
    modrm: number,
    memory: FloatingPointMemory,
    host: FloatingPointHost,
    address: number,
    dataSelector: number,
  ): number;
  /** FSAVE image without side effects (108 bytes, 32-bit protected-mode layout) and its inverse, for snapshots and tests. */
  save(): Uint8Array;
  restore(image: Uint8Array): void;
}
