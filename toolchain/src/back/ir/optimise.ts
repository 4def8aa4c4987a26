/** The passes over a routine, in order, before and after legalisation. */
import { removeDeadCode } from "./dead-code.ts";
import type { Routine } from "./instructions.ts";
import { numberValues } from "./number-values.ts";
import { simplifyFlow } from "./simplify-flow.ts";
import { splitConditions } from "./split-conditions.ts";
import { reduceStrength } from "./strength.ts";

export function optimise(routine: Routine): void {
  removeDeadCode(routine);
  simplifyFlow(routine);
  numberValues(routine);
  simplifyFlow(routine);
  removeDeadCode(routine);
}

export function optimiseLegal(routine: Routine): void {
  reduceStrength(routine);
  numberValues(routine);
  simplifyFlow(routine);
  removeDeadCode(routine);
  splitConditions(routine);
}
