/** Files that a command writes. */
import { openSync } from "node:fs";
import { fileErrorReason, UserError } from "./errors.ts";

/** Opens the file for writing now, so that a wrong path is found before the run and not after it. */
export function openOutputFile(path: string, role: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new UserError(`cannot write ${role} ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
}
