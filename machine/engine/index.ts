/** The engine's module: what is exported here can be imported by compiled regions and called by the host's side. */

export { codeWritten, dropAll } from "./code-cache";
export {
  deliverPageFault,
  invalidate,
  loadPageDirectory,
  modifyMissed,
  readMissed,
  writeMissed,
} from "./compiled";
export {
  countEntry,
  countVisits,
  entriesMade,
  forgetEntries,
  isWorthCompiling,
  restoreEntries,
} from "./counted-entries";
export { continuesOnNextPage, locate, setUpDecoder } from "./decoder";
export { carry, overflow } from "./flags";
export { interrupt, interruptReturn } from "./gates";
export { execute, executeDetailed } from "./interpreter";
export {
  flush,
  forgetFastPaths,
  forgetWrites,
  invalidatePage,
  reachCodeFrame,
  translate,
  translateCode,
} from "./paging";
export { follow, interruptAndGoOn, returnAndGoOn } from "./regions";
export { loadSegment, refreshLimits } from "./segments";
export { switchTask } from "./tasks";
export { fetchCode, modifyData, pairedClocks, readData, timeData, timeSpan, writeData } from "./timing";
