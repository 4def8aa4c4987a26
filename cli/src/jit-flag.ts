/** The flag that says whether our machine compiles hot code. */
import { UsageError } from "./errors.ts";

export function parseJit(value: string): "on" | "off" {
  if (value === "on" || value === "off") return value;
  throw new UsageError(`--jit ${value}: it takes on or off`);
}
