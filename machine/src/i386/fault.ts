/**
 * Faults inside the interpreter. One preallocated object is thrown, so that a fault costs no allocation; it holds what is to
 * be delivered until the run loop catches it. Whoever throws has changed no architectural state of the instruction under way.
 */

/** No error code is pushed for this exception. */
export const NO_ERROR_CODE = -1;

export class ProcessorFault extends Error {
  override readonly name = "ProcessorFault";
  vector = 0;
  /** Error code, or NO_ERROR_CODE. */
  code = NO_ERROR_CODE;
}

/** The one fault object: valid from `raise` until it is caught. Processors run one at a time, so that one serves all. */
export const pendingFault = new ProcessorFault("processor fault in delivery");

/** Fills the fault object without throwing it, for those who can say "failed" to their caller; `raise` costs a microsecond of the host's. */
export function prepareFault(vector: number, code: number): void {
  pendingFault.vector = vector;
  pendingFault.code = code;
}

/** Throws exception `vector`; `code` for those that have an error code. */
export function raise(vector: number, code: number = NO_ERROR_CODE): never {
  pendingFault.vector = vector;
  pendingFault.code = code;
  throw pendingFault;
}
