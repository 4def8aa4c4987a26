/**
 * What the decoder knows of an opcode, made from the instruction table (src/i386/decoding-tables.ts) and read by instruction-decoder.ts.
 *
 *   PREFIX_KINDS  a byte for each opcode byte: 0, or what it is as a prefix
 *   OPCODES       a word for each opcode byte, then for each behind 0F: a form, or WITH_MODRM + the place of its choice in CHOICES
 *   CHOICES       halfwords: a form by ModR/M, 8 by its reg field for memory operands, then 64 for register operands
 *   FORMS         two descriptors a form, for 4-byte and 2-byte operands, of the fields below
 */

// Kinds of prefixes.
export const OPERAND_SIZE = 1;
export const ADDRESS_SIZE = 2;
export const LOCKED = 3;
export const REPEAT_NOT_EQUAL = 4;
export const REPEAT = 5;
/** Plus the number of the segment register. */
export const SEGMENT_OVERRIDE = 8;

export const WITH_MODRM = -0x8000_0000;
export const CHOICE_BYTES = 144;

// A descriptor: the record as it is when the instruction has no address, no registers and no immediate, then the bytes below.
/** Bits of the section below. */
export const FLAGS = 64;
export const IMMEDIATE = 65;
/** Sources of the RM and REG fields, see below. */
export const RM_SOURCE = 66;
export const REG_SOURCE = 67;
/** Row of the instruction table. */
export const ROW = 68;
/** Operation with an address of 16 bits. */
export const NARROW_OPERATION = 70;
/** Operations by BASED and IN_PAGE, when there are several. */
export const OPERATIONS = 72;
export const DESCRIPTOR_BYTES = 80;
/** A descriptor for each operand size. */
export const FORM_BYTES = 160;

// Bits of FLAGS.
/** ModR/M names memory. */
export const MODRM_MEMORY = 1;
/** There is a memory operand, by ModR/M or by an address in the instruction. */
export const MEMORY_OPERAND = 2;
export const LOCKABLE = 4;
/** The immediate is a branch distance. */
export const RELATIVE = 8;
/** The operation depends on the address or the branch target. */
export const SEVERAL_OPERATIONS = 16;
/** Code does not go on behind it, or not through the next record. */
export const ENDS_RUN = 32;

// Which of four operations.
/** The address is a base register plus displacement. */
export const BASED = 1;
/** The branch target lies in the same page. */
export const IN_PAGE = 2;

// Kinds of IMMEDIATE.
export const NONE = 0;
export const BYTE = 1;
export const SIGNED_BYTE = 2;
/** Of operand size. */
export const OPERAND = 3;
export const WORD = 4;
/** A word, then a byte that goes to EXTRA. */
export const WORD_AND_BYTE = 5;
/** An offset of operand size, then a selector that goes to EXTRA. */
export const FAR_POINTER = 6;
/** An address of address size, which goes to DISPLACEMENT. */
export const ADDRESS = 7;

// Sources of RM and REG: where the register's number stands, plus the logarithm of the operand's size.
/** In the descriptor's record. */
export const FIXED = 0;
export const MODRM_RM = 4;
export const MODRM_REG = 8;
export const OPCODE_BITS = 12;
