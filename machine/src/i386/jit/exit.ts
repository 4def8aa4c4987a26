/** How compiled code is left; see `../../../engine/layout/exits.ts`. */

export * as Exit from "../../../engine/layout/exits.ts";

import type { SiteTiming } from "./detailed-timing.ts";

/** A place where a region can be left before all instructions of its block have run. */
export interface Site {
  /** Record at which to go on. */
  readonly record: number;
  /** `plain`, `unsupported`, `branch`, `fault`, `outside`, `noQuotient` or `otherBases`. */
  readonly reason: number;
  /** Clocks and instructions of the block that were booked and did not happen. */
  readonly clocks: number;
  readonly instructions: number;
  /** Null unless the cycle model is `detailed`. */
  readonly timing: SiteTiming | null;
}
