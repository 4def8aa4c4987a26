/** What the engine calls of the host's side: slow paths in JavaScript (`../src/i386/engine.ts` gives them). They may throw `pendingFault`. */

/** RAM was written in a page that holds decoded code. */
export declare function codeWritten(physical: i32, bytes: i32): void;
