/** The flag that says whether our machine compiles hot code. */
import { UsageError } from "./errors.ts";
import { type ObservationRequest, watchesInstructions } from "./observation-flags.ts";

export const JIT_FLAG = "--jit <on|off>";
export const JIT_HELP = "compile hot code to WebAssembly; the run is the same (default: on)";

/** Undefined when the flag was not given. */
export function parseJit(value: string | undefined): "on" | "off" | undefined {
  if (value === undefined || value === "on" || value === "off") return value;
  throw new UsageError(`--jit ${value}: it takes on or off`);
}

/** Compiled unless instructions are watched. */
export function chooseJit(
  wanted: "on" | "off" | undefined,
  observation: ObservationRequest | undefined,
): "on" | "off" {
  if (!watchesInstructions(observation)) return wanted ?? "on";
  if (wanted !== "on") return "off";
  throw new UsageError(
    "--coverage and exact profiles watch interpreted code: leave --jit on out, or take --profile-kind sample",
  );
}
