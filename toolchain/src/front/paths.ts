/** Paths inside the repository: always with slashes, relative to its root, "os/apps/hello/main.ts". */

export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** `specifier` relative to the file `from`; without "." and "..". */
export function joinPath(from: string, specifier: string): string {
  const parts = directoryOf(from).split("/").filter(Boolean);
  for (const part of specifier.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

/** What the file `from` writes in an import of the module `to` (a path without extension). */
export function relativeSpecifier(from: string, to: string): string {
  const depth = directoryOf(from).split("/").filter(Boolean).length;
  return `${depth === 0 ? "./" : "../".repeat(depth)}${to}`;
}

export function withoutExtension(path: string): string {
  return path.replace(/\.ts$/, "");
}

/** Name of the shared library whose folder holds `path`, if one does. */
export function libraryOf(path: string): string | undefined {
  return /^os\/lib\/([^/]+)\//.exec(path)?.[1];
}
