/** Numbers of the operations that the interpreter has in its switch. Numbers from FIRST_COLD (hot-operations.ts) up are functions. */

export const relocate = 1;
export const continueAt = 2;
export const movRegisterRegister = 3;
export const movRegisterImmediate = 4;
export const movRegisterMemory = 5;
export const movMemoryRegister = 6;
export const movMemoryImmediate = 7;
export const movRegisterBased = 8;
export const movBasedRegister = 9;
export const mov8RegisterRegister = 10;
export const mov8RegisterMemory = 11;
export const mov8MemoryRegister = 12;
export const mov8RegisterImmediate = 13;
export const mov8MemoryImmediate = 14;
export const mov16RegisterMemory = 15;
export const mov16MemoryRegister = 16;
export const movzxRegister = 17;
export const movzxMemory8 = 18;
export const movzxMemory16 = 19;
export const movsxRegister = 20;
export const movsxMemory8 = 21;
export const movsxMemory16 = 22;
export const lea = 23;
/** 8 operations in opcode order × 5 forms: rr, ri, rm, mr, mi. */
export const arithmetic = 24;
export const testRegisterRegister = 64;
export const testRegisterImmediate = 65;
export const testMemoryImmediate = 66;
export const test8RegisterRegister = 67;
export const incRegister = 68;
export const decRegister = 69;
export const incMemory = 70;
export const decMemory = 71;
export const negRegister = 72;
export const notRegister = 73;
/** shl, shr, sar by immediate; then by CL. */
export const shiftImmediate = 74;
export const shiftCl = 77;
export const imulRegister = 80;
export const imulMemory = 81;
export const imulRegisterImmediate = 82;
export const imulMemoryImmediate = 83;
export const pushRegister = 84;
export const pushImmediate = 85;
export const pushMemory = 86;
export const popRegister = 87;
export const callInPage = 88;
export const callRegister = 89;
export const callMemory = 90;
export const ret = 91;
export const retImmediate = 92;
export const jmpInPage = 93;
export const jmpRegister = 94;
export const jmpMemory = 95;
/** 16 conditions. */
export const jccInPage = 96;
export const jccFar = 112;
export const leave = 113;
export const nop = 114;
export const cdq = 115;
export const setccRegister = 116;
export const cmp8RegisterImmediate = 117;
export const cmp8MemoryImmediate = 118;
export const cmp8RegisterRegister = 119;
export const test8RegisterImmediate = 120;
export const callFarPage = 121;
export const jmpFarPage = 122;
export const int = 123;
/** IRETD. */
export const iret = 124;
/** MOV from a register and POP of 4 bytes; the cases are for DS, ES, FS, GS. */
export const movToSegment = 125;
export const popSegment = 126;
/** No instruction: see jit/compiler.ts. */
export const countedEntry = 127;
/** In front of every instruction in the detailed cycle model: see timing.ts. */
export const account = 128;
/** No instruction: its bytes were written, see code-cache.ts. */
export const stale = 129;
