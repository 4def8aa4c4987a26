/** Indices in the table of counters; see statistics.ts. */

export const EXCEPTIONS = 0;
export const SOFTWARE_INTERRUPTS = 256;
export const HARDWARE_INTERRUPTS = 512;
/** from × 4 + to. */
export const RING_TRANSITIONS = 768;
export const CYCLES_BY_RING = 784;
export const CYCLES_IDLE = 788;
export const TASK_SWITCHES = 789;
export const TLB_CODE_4K = 790;
export const TLB_DATA_4K = 791;
export const TLB_DATA_4M = 792;
export const PAGE_FAULTS = 793;
export const SEGMENT_LOADS = 794;
export const CR3_LOADS = 795;
export const LENGTH = 800;
