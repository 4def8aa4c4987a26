/**
 * Where the processor's state lives. All of it that instructions touch is in linear memory, at addresses and in words that both compilers
 * know from the same files (`../../engine/layout`): tsc for the parts written here, AssemblyScript for the engine.
 *
 * Registers can be read as bytes and words through views of the same buffer (the host is little-endian, as every host of
 * JavaScript today). A "register index" in a decoded instruction counts in units of the operand's size: AH is byte 1,
 * SP is word 8, ESP is double word 4.
 *
 * Hot files copy the constants that they use into local `const`s: an imported binding is a memory cell to the host's
 * compiler, a local constant is an immediate.
 */

export * as Access from "../../engine/layout/access-bits.ts";
export * as Address from "../../engine/layout/addresses.ts";
export * as ControlBit from "../../engine/layout/control-bits.ts";
export * as Field from "../../engine/layout/fields.ts";
export * as Prefix from "../../engine/layout/prefixes.ts";
export * as Segment from "../../engine/layout/segments.ts";
export * as Slot from "../../engine/layout/slots.ts";
export * as Task from "../../engine/layout/tasks.ts";
export { SOFT_CODE_SETS, SOFT_TLB_SETS } from "../../engine/layout/tlb-sizes.ts";
export * as Vector from "../../engine/layout/vectors.ts";
