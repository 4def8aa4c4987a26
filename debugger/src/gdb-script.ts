/** The commands with which GDB is started: what to load, where to find sources. */
export interface GdbScriptOptions {
  /** Kernel with symbols, and images at their preferred addresses. */
  readonly kernel: string;
  readonly images: readonly string[];
  /** Folder that source names are relative to. */
  readonly sources?: string;
}

/** GDB's command that comes after the script. */
export function attachCommand(port: number): string {
  return `target remote 127.0.0.1:${port}`;
}

/** File names are quoted as GDB's commands want them. */
function quoted(path: string): string {
  return /[\s"'\\]/.test(path) ? `"${path.replace(/["\\]/g, "\\$&")}"` : path;
}

export function gdbScript({ kernel, images, sources }: GdbScriptOptions): string {
  return [
    "set pagination off",
    "set breakpoint pending on",
    "set disassembly-flavor intel",
    // Code is read from the files: it is at hand before the guest has loaded it.
    "set trust-readonly-sections on",
    ...(sources === undefined ? [] : [`directory ${quoted(sources)}`]),
    `file ${quoted(kernel)}`,
    ...images.map((image) => `add-symbol-file ${quoted(image)}`),
    "",
  ].join("\n");
}
