/** Bits of ACCESS words. */

export const USABLE = 0x1;
export const ACCESSED = 0x100;
export const WRITABLE = 0x200;
export const EXPAND_DOWN = 0x400;
export const CODE = 0x800;
export const NOT_SYSTEM = 0x1000;
export const DPL_SHIFT = 13;
export const PRESENT = 0x8000;
export const BIG = 0x40_0000;
export const GRANULAR = 0x80_0000;
