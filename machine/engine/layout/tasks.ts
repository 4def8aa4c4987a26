/** The 32-bit TSS, and what the engine's task switch (tasks.ts) and the slow way say to each other. */

// Offsets.
export const CR3 = 0x1c;
export const EIP = 0x20;
export const EFLAGS = 0x24;
export const EAX = 0x28;
export const ES = 0x48;
export const LDT = 0x60;
export const TRAP = 0x64;
/** Bytes that a switch reads, and from `EIP` on writes. */
export const READ_BYTES = 0x68;
export const SAVED_BYTES = 0x40;

// Types of system descriptors.
export const LDT_DESCRIPTOR = 2;
export const AVAILABLE = 9;
export const BUSY = 11;

// Who asks for a switch.
export const JUMP = 0;
export const CALL = 1;
export const INTERRUPT = 2;
export const RETURN = 3;

// Parts of a switch behind its commit point, in order.
export const LOAD_LDT = 1;
export const LOAD_SS = 2;
export const LOAD_ES = 3;
export const LOAD_DS = 4;
export const LOAD_FS = 5;
export const LOAD_GS = 6;
export const LOAD_CS = 7;
export const PUSH_CODE = 8;

// TASK_REST: the first part that is not done; kind and vector of the delivery, if it was one; the TSS's T bit.
export const PART_MASK = 15;
export const KIND_SHIFT = 4;
export const KIND_MASK = 3;
/** Instead of a kind. */
export const NO_DELIVERY = 3;
export const WITH_TRAP = 0x40;
export const VECTOR_SHIFT = 8;
