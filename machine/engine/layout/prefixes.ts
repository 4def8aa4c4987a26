/** Bits of a decoded instruction's PREFIX word. */

export const ADDRESS_16 = 1;
export const REP = 2;
export const REPNE = 4;
export const LOCK = 8;
/** The operands are: 0 rm, reg; 1 reg, rm; 2 rm, immediate. */
export const FORM_SHIFT = 4;
export const MODRM_SHIFT = 8;
export const OPCODE_SHIFT = 16;
/** Of the record of a counted entry that sleeps, see ../counted-entries.ts. */
export const SLEEPING = 0x100_0000;
