/** The engine's module: what is exported here can be imported by compiled regions and called by the host's side. */

export { carry, overflow } from "./flags";
export { execute, executeDetailed } from "./interpreter";
export { timeData } from "./timing";
