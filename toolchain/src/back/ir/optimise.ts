/** The passes over a routine, in order. Run before legalisation and again after it. */
import { removeDeadCode } from "./dead-code.ts";
import type { Routine } from "./instructions.ts";

export function optimise(routine: Routine): void {
  removeDeadCode(routine);
}
