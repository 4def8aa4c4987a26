/** Memory sizes as the command line writes them: `16M`, `512K`, `1G`; a bare number is megabytes, as QEMU's `-m`. */
import { UsageError } from "./errors.ts";

const UNITS: Readonly<Record<string, number>> = { "": 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** RAM size in bytes, a multiple of 4096, within what the board can hold. */
export function parseMemorySize(text: string): number {
  const match = /^(\d+)([KMG]?)B?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * UNITS[match[2]!.toUpperCase()]! : Number.NaN;
  if (!Number.isFinite(bytes)) {
    throw new UsageError(`--memory ${text}: not a size. Write a number and K, M or G, for example 16M.`);
  }
  if (bytes < 2 * 2 ** 20 || bytes > 2 * 2 ** 30) {
    throw new UsageError(`--memory ${text}: the machine takes 2M to 2G.`);
  }
  if (bytes % 4096 !== 0) throw new UsageError(`--memory ${text}: not a multiple of 4K.`);
  return bytes;
}
