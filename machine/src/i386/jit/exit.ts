/** Why compiled code returned to the run loop's side; in the low four bits of its result, beside a record of the code cache. */
export const Exit = {
  /** The run loop is wanted, or the interpreter must run the instruction at this record. */
  plain: 0,
  /** The instruction at this record is not compiled. */
  unsupported: 1,
  /** A branch to this record, whose code is not compiled. */
  branch: 2,
  /** The instruction at this record faulted. */
  fault: 3,
  /** EIP is set; its record must be looked up. */
  locate: 4,
  /** Only where the host has no tail calls: go on at this place of the table. */
  chain: 5,
} as const;
