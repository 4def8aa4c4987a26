/** Reads the kernel's sources for `readKernelLayout`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  KERNEL_SOURCES,
  type KernelLayout,
  type KernelSourceName,
  readKernelLayout,
} from "../rialto/layout.ts";

/** `repository` is the folder that holds `os`. */
export function loadKernelLayout(repository: string): KernelLayout {
  const read = (name: KernelSourceName) => readFileSync(join(repository, KERNEL_SOURCES[name]), "utf8");
  return readKernelLayout({
    thread: read("thread"),
    process: read("process"),
    images: read("images"),
    imageFile: read("imageFile"),
    directory: read("directory"),
    layout: read("layout"),
    proxies: read("proxies"),
    proxyStubs: read("proxyStubs"),
  });
}
