/**
 * Which images the system has, and which source files make each of them.
 *
 * An image is a folder: `os/kernel`, every folder of `os/lib` with TypeScript in it, every folder of `os/drivers`,
 * `os/services`, `os/apps`, `os/tests` with a `main.ts`. The sources of an image are its entry files, its assembly files,
 * and everything reachable from them through imports; the kernel also reads every interface, for its descriptor table, and every image the heap that the
 * IDL transform's objects come from.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { BuildError } from "../contract.ts";

export type ImageKind = "kernel" | "library" | "program";

export interface ImageSource {
  readonly name: string;
  readonly kind: ImageKind;
  /** Absolute folder of the image. */
  readonly folder: string;
  /** Absolute paths of the guest files that compilation starts from. */
  readonly entries: readonly string[];
  /** Absolute paths of the image's `*.asm.ts` files. */
  readonly assembly: readonly string[];
}

/** Rooms whose folders are programs; their names also answer where a binary comes from. */
const PROGRAM_ROOMS = ["drivers", "services", "apps", "tests"];

function filesBelow(folder: string): string[] {
  const files: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...filesBelow(path));
    else if (entry.isFile()) files.push(path);
  }
  return files.sort();
}

const isGuest = (file: string) =>
  file.endsWith(".ts") && !file.endsWith(".d.ts") && !file.endsWith(".asm.ts") && !file.endsWith(".test.ts");

function foldersOf(room: string): string[] {
  if (!existsSync(room)) return [];
  const entries = readdirSync(room, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.map((entry) => join(room, entry.name)).sort();
}

function imageIn(folder: string, kind: ImageKind): ImageSource | undefined {
  const files = filesBelow(folder);
  const main = join(folder, "main.ts");
  const entries = kind === "library" ? files.filter(isGuest) : files.filter((file) => file === main);
  const assembly = files.filter((file) => file.endsWith(".asm.ts"));
  return entries.length === 0 ? undefined : { name: basename(folder), kind, folder, entries, assembly };
}

/** Every image of the system below `root`: the kernel, libraries in alphabetical order, programs in that of their rooms. */
export function findImages(root: string): ImageSource[] {
  const system = join(root, "os");
  const images: ImageSource[] = [];
  const add = (folder: string, kind: ImageKind) => {
    const image = imageIn(folder, kind);
    if (!image) return;
    const twin = images.find((other) => other.name === image.name);
    if (twin) {
      throw new BuildError(
        `two images are named "${image.name}": ${relative(root, twin.folder)} and ${relative(root, folder)}`,
        { file: relative(root, folder) },
      );
    }
    images.push(image);
  };
  if (existsSync(join(system, "kernel"))) add(join(system, "kernel"), "kernel");
  for (const folder of foldersOf(join(system, "lib"))) add(folder, "library");
  for (const room of PROGRAM_ROOMS)
    for (const folder of foldersOf(join(system, room))) add(folder, "program");
  return images;
}

/** The image made of somebody's own program FILE.ts, outside the system's folders. */
export function programSource(file: string): ImageSource {
  const path = resolve(file);
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new BuildError("there is no such file; give the path of a TypeScript program", { file });
  }
  if (!isGuest(path)) throw new BuildError("this is not a TypeScript program (FILE.ts)", { file });
  const own = basename(path, ".ts");
  const name = own === "main" ? basename(dirname(path)) : own;
  if (!/^[A-Za-z0-9_.-]{1,40}$/.test(name)) {
    throw new BuildError(`"${name}" is no name for a program: use letters, digits, "-", "_" and "."`, {
      file,
    });
  }
  const assembly = own === "main" ? filesBelow(dirname(path)).filter((each) => each.endsWith(".asm.ts")) : [];
  return { name, kind: "program", folder: dirname(path), entries: [path], assembly };
}

const IMPORT = /\b(?:from|import)\s*\(?\s*["']([^"'\n]+)["']/g;

/** The file that an import of `file` names, or undefined when it is none of ours (a package, a built-in module). */
function resolveImport(root: string, file: string, specifier: string): string | undefined {
  let path: string;
  const workspace = /^@rialto\/([a-z]+)\/(.+)$/.exec(specifier);
  if (workspace) path = join(root, workspace[1]!, "src", workspace[2]!);
  else if (specifier.startsWith("rialto/")) path = join(root, "os", specifier.slice("rialto/".length));
  else if (specifier.startsWith(".")) path = resolve(dirname(file), specifier);
  else return undefined;
  return [path, `${path}.ts`, join(path, "index.ts")].find(
    (each) => existsSync(each) && statSync(each).isFile(),
  );
}

/** Reads every file once, however many images use it. */
export class SourceReader {
  private readonly texts = new Map<string, Uint8Array>();
  private readonly imports = new Map<string, readonly string[]>();
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  read(file: string): Uint8Array {
    let text = this.texts.get(file);
    if (!text) {
      text = readFileSync(file);
      this.texts.set(file, text);
    }
    return text;
  }

  private importsOf(file: string): readonly string[] {
    let found = this.imports.get(file);
    if (!found) {
      const text = new TextDecoder().decode(this.read(file));
      const resolved = [...text.matchAll(IMPORT)].map((match) => resolveImport(this.root, file, match[1]!));
      found = resolved.filter((path) => path !== undefined);
      this.imports.set(file, found);
    }
    return found;
  }

  /** `files` and everything they import, directly or not, in alphabetical order. */
  closure(files: readonly string[]): string[] {
    const seen = new Set(files);
    for (const file of seen) for (const imported of this.importsOf(file)) seen.add(imported);
    return [...seen].sort();
  }

  /** All files whose contents decide what the image becomes. */
  sourcesOf(image: ImageSource): string[] {
    const heap = image.kind === "kernel" ? "os/kernel/memory/heap.ts" : "os/lib/rt/heap.ts";
    const starts = [...image.entries, ...image.assembly, join(this.root, heap)].filter((file) =>
      existsSync(file),
    );
    const interfaces = join(this.root, "os", "interfaces");
    if (image.kind === "kernel" && existsSync(interfaces))
      starts.push(...filesBelow(interfaces).filter(isGuest));
    return this.closure(starts);
  }
}
