/** What the upper half of the kernel offers to the lower (README.md). */

import { systemCall } from "./calls/dispatch";
import { doorInvoke } from "./calls/door-calls";
import { remoteInvoke } from "./calls/remote";
import { serverReturned } from "./calls/server-threads";
import { start } from "./loader/startup";
import { leaveOvertime, raiseFault, raisePendingFault } from "./objects/faults";
import { threadOver } from "./objects/threads";
import type { Thread } from "./threads/thread";

export { doorInvoke, remoteInvoke, serverReturned as serverReturn, systemCall };

export function threadEnded(thread: Thread, result: u32): void {
  threadOver(thread, result);
}

export function programFault(
  thread: Thread,
  vector: u32,
  error: u32,
  address: usize,
  instruction: usize,
  context: Thread,
): void {
  raiseFault(thread, vector, error, address, instruction, context);
}

export function leaveModule(thread: Thread, instruction: usize): void {
  leaveOvertime(thread, instruction);
}

/** Raises what the kernel met while it worked for the thread; does not return. */
export function pendingFault(thread: Thread): void {
  raisePendingFault(thread, 0);
}

export function startSystem(commandLine: usize, modules: usize, count: u32): void {
  start(commandLine, modules, count);
}
