/** Constants of threads that programs share. */

/** The priority programs start with. */
export const PRIORITY_DEFAULT: u32 = 16;
