/** Numbers of segment registers, as in the state words BASE, SELECTOR, LIMIT and ACCESS. */

export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;
