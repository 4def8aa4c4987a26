/** Clocks of control transfers in protected mode, by what they pass through. Source: as the instruction table's. */

export const callGateSamePrivilege = 22;
/** To an inner ring: plus `callGateParameter` for each parameter copied. */
export const callGateInner = 44;
export const callGateParameter = 2;
export const jumpGateSamePrivilege = 18;
export const returnOuter = 23;
export const interruptSamePrivilege = 31;
export const interruptInner = 48;
/** INT3 and hardware-detected faults and interrupts. */
export const breakpointSamePrivilege = 27;
export const breakpointInner = 44;
export const interruptReturnSame = 10;
export const interruptReturnOuter = 27;
/** Added to a task switch by the instruction that asks for it. */
export const taskGateCall = 22;
export const taskGateJump = 20;
export const taskGateInterrupt = 23;
export const interruptReturnNested = 10;
/** From a 32-bit TSS to a 32-bit TSS. */
export const taskSwitch = 85;

/** More than the delivery of a fault ever takes; with fewer left the run loop delivers it. */
export const LONGEST_DELIVERY = 1000;
