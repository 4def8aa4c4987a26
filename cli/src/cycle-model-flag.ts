/** The flag that says by what our machine counts cycles. */
import { type CycleModelName, cycleModelNames as NAMES } from "@rialto/machine/i386/cycles.ts";
import { UsageError } from "./errors.ts";
import { nearest } from "./nearest.ts";

export function parseCycleModel(value: string): CycleModelName {
  const name = NAMES.find((each) => each === value);
  if (name !== undefined) return name;
  const suggestion = nearest(value, NAMES);
  throw new UsageError(
    `--cycle-model ${value}: there is no such model.${suggestion ? ` Did you mean '${suggestion}'?` : ""} Models: ${NAMES.join(", ")}.`,
  );
}
