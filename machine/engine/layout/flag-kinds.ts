/** What the arithmetic flags are computed from: see flags.ts. */

export const STORED = 0;
export const ADD = 1;
export const ADC = 2;
export const SUB = 3;
export const SBB = 4;
export const LOGIC = 5;
export const INC = 6;
export const DEC = 7;
export const GIVEN = 8;
