/**
 * The Intel address map (§6.1) and the segment selectors: one place for every constant that entry code, page tables and
 * regions share. Linear = virtual + segment base, modulo 2^32; kernel segments start at 1 GB.
 */

/** Base of the kernel's segments: a kernel virtual address plus this is linear. */
export const KERNEL_BASE: usize = 0x40000000;
/** First linear address of the kernel's half, the same in all page directories. */
export const KERNEL_LINEAR: usize = 0x80000000;

/** User virtual addresses. The last page below 2 GB is never mapped, so that one comparison checks a small argument. */
export const USER_PRIVATE_START: usize = 0x00010000;
export const USER_PRIVATE_END: usize = 0x3f000000;
export const USER_END: usize = 0x7ffff000;
/** Images, at the same virtual addresses in every space and in the kernel. */
export const SHARED_START: usize = 0x40000000;
export const SHARED_END: usize = 0x50000000;

/** Kernel virtual addresses. */
export const STACKS_START: usize = 0x50000000;
export const STACKS_END: usize = 0xa0000000;
/** Where physical memory is seen; the kernel's image lies in it (toolchain/src/link/image.ts). */
export const WINDOW_START: usize = 0xa0000000;
export const WINDOW_SIZE: usize = 0x10000000;
export const HEAP_START: usize = 0xb0000000;
export const HEAP_SIZE: usize = 0x01000000;
/** Anonymous regions of programs in the kernel. */
export const KERNEL_REGIONS_START: usize = 0xb1000000;
export const KERNEL_REGIONS_END: usize = 0xbf000000;
export const DEVICES_START: usize = 0xbf000000;
export const DEVICES_END: usize = 0xbffff000;

export const PAGE: usize = 4096;

/** Selectors: index × 8 + ring. */
export const RING0_CODE: u32 = 0x08;
export const RING0_DATA: u32 = 0x10;
export const RING1_CODE: u32 = 0x19;
export const RING1_DATA: u32 = 0x21;
export const USER_CODE: u32 = 0x2b;
export const USER_DATA: u32 = 0x33;
export const TASK_STATE: u32 = 0x38;
/** Tasks of task gates: double fault, page fault, and one a line for device interrupts (tasks.ts). */
export const DOUBLE_FAULT_TASK: u32 = 0x40;
export const PAGE_FAULT_TASK: u32 = 0x48;
export const INTERRUPT_TASKS: u32 = 0x50;
export const INTERRUPT_LINES: u32 = 16;
export const DESCRIPTORS: u32 = 26;

/** EFLAGS of thread-level kernel code: IOPL 1, interrupts on. */
export const KERNEL_FLAGS: u32 = 0x1202;
/** EFLAGS of user code: IOPL 1, which ring 3 may not use; interrupts on. */
export const USER_FLAGS: u32 = 0x1202;

/** Interrupt vectors. */
/** Bits of EFLAGS. */
export const TRAP_FLAG: u32 = 0x100;
export const INTERRUPTS_ON: u32 = 0x200;

export const VECTOR_DEBUG: u32 = 1;
export const VECTOR_DEVICE_NOT_AVAILABLE: u32 = 7;
export const VECTOR_DOUBLE_FAULT: u32 = 8;
export const VECTOR_PAGE_FAULT: u32 = 14;
/** Not the processor's: memory was exhausted when a page was touched for the first time. */
export const VECTOR_EXHAUSTED: u32 = 0x40;
/** Not the processor's either: a bad pointer in a call, which the kernel met (memory/scratch.ts). */
export const VECTOR_SCRATCH: u32 = 0x41;
/** Nor this: a stack has grown to its limit. */
export const VECTOR_OVERFLOW: u32 = 0x42;
export const VECTOR_INTERRUPT: u32 = 0x20;
export const VECTOR_SYSTEM_CALL: u32 = 0x30;
export const VECTOR_PRIVATE_TRAP: u32 = 0x31;
export const VECTOR_SERVER_RETURN: u32 = 0x32;
export const VECTOR_HAND_OFF: u32 = 0x33;
export const VECTORS: u32 = 0x34;
