/** The kernel image: what its entry code (`i386/*.asm.ts`) calls by name. */

export { bootMain, prepareBoot } from "./i386/boot";
export { descriptorTablePointer, firstLevelStackTop } from "./i386/processor";
export { taskFault, taskInterrupt } from "./i386/tasks";
export { firstLevelTrap, nestedTrap } from "./i386/traps";
export { exitFromTrap, memoryFault, overstayed, programException, stackOverflow } from "./memory/faults";
export { handOffTrap } from "./threads/hand-off";
export { exitThread } from "./threads/thread";
export { doorInvoke, remoteInvoke, serverReturn, systemCall } from "./upper";
