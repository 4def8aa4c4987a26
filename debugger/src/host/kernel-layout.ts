/** Reads the kernel's sources for `readKernelLayout`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  KERNEL_SOURCES,
  type KernelLayout,
  type KernelSourceName,
  type KernelSources,
  readKernelLayout,
} from "../rialto/layout.ts";

/** `repository` is the folder that holds `os`. */
export function loadKernelLayout(repository: string): KernelLayout {
  const read = (name: KernelSourceName) => readFileSync(join(repository, KERNEL_SOURCES[name]), "utf8");
  const names = Object.keys(KERNEL_SOURCES) as KernelSourceName[];
  const sources = Object.fromEntries(names.map((name) => [name, read(name)]));
  return readKernelLayout(sources as KernelSources);
}
