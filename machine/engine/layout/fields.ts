/** Words of a decoded instruction in the pool. */

/** Number that the interpreter switches on. */
export const OPERATION = 0;
export const CLOCKS = 1;
/** Offset of the first byte in its page. */
export const OFFSET = 2;
/** Length in bytes. */
export const BYTES = 3;
/** Index of the register operand, in units of its size. */
export const REG = 4;
/** Index of the ModR/M register operand in units of its size, or -1 for memory. */
export const RM = 5;
/** Effective address: slots of base and index, shift of the index, displacement. */
export const BASE = 6;
export const INDEX = 7;
export const SCALE = 8;
export const DISPLACEMENT = 9;
export const SEGMENT = 10;
/** Immediate; of near branches the target relative to the code page's first byte. */
export const IMMEDIATE = 11;
/** Branches inside a page: pool index of the target, 0 until it is looked up. */
export const LINK = 12;
/** Operand size in bytes. */
export const SIZE = 13;
/** Bits of `Prefix`; ModR/M in bits 8 to 15; opcode's low byte in bits 16 to 23. */
export const PREFIX = 14;
/** Second immediate, condition, or what else the operation needs. */
export const EXTRA = 15;
export const WORDS = 16;
