/**
 * One image from sources to objects: front end, back end, and the image's own assembly.
 *
 * Sources have virtual paths for the compiler. Files of the repository: their path below its root. Files elsewhere
 * (somebody's own program): "own/" and their absolute path, so that relative imports work; an import of "rialto/lib/rt/heap"
 * or "rialto/interfaces/IEcho" is read as the relative path into the system's `os` folder. Messages and debug information
 * name files as a person sees them: below the root, below the working directory, or absolute.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { compileModule } from "../back/compile.ts";
import { BuildError, type CodeObject, type FrontModule, type SourcePosition } from "../contract.ts";
import { compileImage } from "../front/compile.ts";
import { assembleFile } from "./assembly.ts";
import type { ImageSource } from "./sources.ts";
import { contentHash } from "./storage.ts";

const OWN = "own";

/** Between the paths that the compiler sees and those of the file system. */
class VirtualPaths {
  private readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  virtual(file: string): string {
    const below = relative(this.root, file);
    return below.startsWith("..") ? OWN + file : below;
  }

  private isOwn(path: string): boolean {
    return path.startsWith(`${OWN}/`);
  }

  private real(path: string): string {
    return this.isOwn(path) ? path.slice(OWN.length) : join(this.root, path);
  }

  /** As a person names it. */
  shown(path: string): string {
    if (!this.isOwn(path)) return path;
    const below = relative(process.cwd(), this.real(path));
    return below.startsWith("..") ? this.real(path) : below;
  }

  read(path: string): string | undefined {
    const file = this.real(path);
    if (!existsSync(file) || !statSync(file).isFile()) return undefined;
    const text = readFileSync(file, "utf8");
    if (path.startsWith("os/")) return text;
    const up = "../".repeat(path.split("/").length - 1) || "./";
    return text.replaceAll(/\bfrom(\s*["'])rialto\//g, `from$1${up}os/`);
  }

  shownPosition(position: SourcePosition): SourcePosition {
    return { ...position, file: this.shown(position.file) };
  }

  /** The same error with paths as a person names them; anything else as it is. */
  shownError(error: unknown): unknown {
    if (!(error instanceof BuildError)) return error;
    const { file, position, symbol, stack } = error;
    const where = {
      file: file && this.shown(file),
      position: position && this.shownPosition(position),
      symbol,
    };
    const shown = new BuildError("", where, { cause: error.cause });
    const named = (text: string) => text.replaceAll(/\bown\/[^\s:"]+/g, (path) => this.shown(path));
    shown.message = named(error.message);
    if (stack !== undefined) shown.stack = named(stack);
    return shown;
  }
}

function guestFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .sort();
}

function libraryNames(root: string): string[] {
  const folder = join(root, "os", "lib");
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
}

/** The front end's result for an image of the file system below `root`. */
export async function compileFront(root: string, image: ImageSource): Promise<FrontModule> {
  const paths = new VirtualPaths(root);
  try {
    const module = await compileImage({
      name: image.name,
      kind: image.kind,
      entries: image.entries.map((file) => paths.virtual(file)),
      readFile: (path) => paths.read(path),
      libraries: libraryNames(root),
      interfaceFiles: guestFiles(join(root, "os", "interfaces")).map((name) => `os/interfaces/${name}`),
    });
    const sourceAt = (offset: number) => {
      const position = module.sourceAt(offset);
      return position && paths.shownPosition(position);
    };
    return { ...module, sourceAt };
  } catch (error) {
    throw paths.shownError(error);
  }
}

export async function compileObjects(root: string, image: ImageSource): Promise<CodeObject[]> {
  const objects = [compileModule(await compileFront(root, image))];
  const paths = new VirtualPaths(root);
  for (const file of image.assembly) {
    const name = paths.shown(paths.virtual(file));
    objects.push(await assembleFile(file, name, contentHash([readFileSync(file)])));
  }
  return objects;
}
