/** Why compiled code returned to the run loop's side; in the low four bits of its result, beside a record of the code cache or a number. */
export const Exit = {
  /** The run loop is wanted, or the interpreter must run the instruction at this record. */
  plain: 0,
  /** The instruction at this record is not compiled. */
  unsupported: 1,
  /** A branch to this record, whose code is not compiled. */
  branch: 2,
  /** The instruction at this record faulted. */
  fault: 3,
  /** At a place in the middle of a region, by its number: see `Site`. */
  site: 6,
  /** Only where the host has no tail calls: go on at this place of the table. */
  chain: 5,
} as const;

/** A place where a region can be left before all instructions of its block have run. */
export interface Site {
  /** Record at which to go on. */
  readonly record: number;
  /** `plain`, `unsupported` or `fault`. */
  readonly reason: number;
  /** Clocks and instructions of the block that were booked and did not happen. */
  readonly clocks: number;
  readonly instructions: number;
}
