/**
 * Builds the whole system, or one program, into `.rialto/build`:
 *
 *   kernel.elf            the kernel, for a multiboot loader
 *   archive.img           the boot archive: every other image's loadable part, the line tables of all, and etc/system
 *   images/NAME.elf       every image whole, with symbols and debug information
 *   programs/NAME.elf     somebody's own programs
 *   cache/HASH.elf        linked images by the hash of all they are made of
 *   state.json            what the files above were made of
 *
 * An image is rebuilt when its sources, its base, or the toolchain's own sources changed. When nothing changed, nothing
 * is compiled, linked or written, and the compiler is not even loaded.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError, type CodeObject } from "../contract.ts";
import { type ArchiveFile, writeArchive } from "../link/archive.ts";
import { loadablePart } from "../link/elf.ts";
import { type LinkedImage, linkImage } from "../link/image.ts";
import { lineFiles } from "../link/line-file.ts";
import { exportedNames } from "../link/symbols.ts";
import { type BaseRange, BaseTable } from "./bases.ts";
import { findImages, type ImageKind, type ImageSource, programSource, SourceReader } from "./sources.ts";
import { type CachedImage, contentHash, ImageCache, writeWhole } from "./storage.ts";

/** The repository that this toolchain belongs to. */
export const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));

/** Turns an image's sources into objects. */
export interface ImageCompiler {
  compile(image: ImageSource): Promise<readonly CodeObject[]>;
  /** Ends whatever the compiler keeps running. */
  close?(): Promise<void>;
}

export interface BuildProgress {
  readonly image: string;
  readonly step: "compile" | "link" | "write";
  /** Steps of this build that are done, and all of them. */
  readonly finished: number;
  readonly total: number;
}

export interface BuildOptions {
  /** Folder that holds `os`. */
  readonly root?: string;
  /** Folder for results. */
  readonly output?: string;
  readonly progress?: (progress: BuildProgress) => void;
  /** For tests; by default the real front end, back end and assembler. */
  readonly compiler?: (root: string, images: number) => Promise<ImageCompiler>;
}

export interface BuiltImage {
  readonly name: string;
  readonly kind: ImageKind;
  /** Name in the boot archive ("bin/hello", "lib/rt"); "kernel" for the kernel. */
  readonly location: string;
  /** ELF file with symbols and debug information. */
  readonly file: string;
  readonly base: number;
  /** Bytes of code and of initialised data; bytes of memory from the base. */
  readonly textSize: number;
  readonly dataSize: number;
  readonly memorySize: number;
  /** True when this build compiled it, false when it came from the cache. */
  readonly compiled: boolean;
}

export interface BuiltSystem {
  readonly kernel: string;
  readonly archive: string;
  readonly images: readonly BuiltImage[];
  readonly milliseconds: number;
}

interface Job {
  readonly image: ImageSource;
  readonly range: BaseRange;
  readonly key: string;
  cached: CachedImage | undefined;
  objects: readonly CodeObject[] | undefined;
}

async function realCompiler(root: string, images: number): Promise<ImageCompiler> {
  const { createCompiler } = await import("./compiler.ts");
  return createCompiler(root, images);
}

/** What the toolchain itself is made of: everything its compiler and linker import, and the guest compiler's version. */
function toolchainHash(reader: SourceReader, repository: string): string {
  const here = (name: string) => join(repository, "toolchain/src", name);
  const starts = [here("build/system.ts"), here("build/compiler.ts"), here("build/compile-worker.ts")];
  const files = reader.closure(starts.filter((file) => existsSync(file)));
  const packages = ["package-lock.json", "os/ambient.d.ts"].map((name) => join(repository, name));
  const contents = [...files, ...packages.filter((file) => existsSync(file))].map((file) =>
    reader.read(file),
  );
  return contentHash(contents);
}

function imageKey(reader: SourceReader, tools: string, image: ImageSource, range: BaseRange): string {
  const parts: (string | Uint8Array)[] = [tools, image.name, image.kind, `${range.base}-${range.limit}`];
  for (const file of reader.sourcesOf(image)) parts.push(relative(reader.root, file), reader.read(file));
  return contentHash(parts);
}

/** A build under way: the images wanted, what the cache has of them, and the libraries they may import from. */
class Build {
  readonly root: string;
  readonly output: string;
  private readonly reader: SourceReader;
  private readonly cache: ImageCache;
  private readonly tools: string;
  private readonly bases: BaseTable;
  private readonly options: BuildOptions;
  readonly jobs: Job[] = [];

  constructor(options: BuildOptions) {
    this.options = options;
    this.root = options.root ?? REPOSITORY;
    this.output = options.output ?? join(this.root, ".rialto", "build");
    this.reader = new SourceReader(this.root);
    this.cache = new ImageCache(join(this.output, "cache"));
    this.tools = toolchainHash(this.reader, REPOSITORY);
    const bases = join(this.root, "os", "bases.json");
    if (!existsSync(bases)) throw new BuildError("the table of preferred bases is missing", { file: bases });
    this.bases = new BaseTable(new TextDecoder().decode(this.reader.read(bases)));
  }

  add(image: ImageSource, owner: "system" | "own"): Job {
    const range = this.bases.range(image, owner);
    const key = imageKey(this.reader, this.tools, image, range);
    const job: Job = { image, range, key, cached: this.cache.find(key), objects: undefined };
    this.jobs.push(job);
    return job;
  }

  private libraries(): Map<string, readonly string[]> {
    const libraries = new Map<string, readonly string[]>();
    for (const { image, cached, objects } of this.jobs) {
      if (image.kind !== "library") continue;
      libraries.set(image.name, objects ? exportedNames(objects) : (cached?.exports ?? []));
    }
    return libraries;
  }

  /** A cached image whose imports its libraries no longer export must be built again, to fail with a proper message. */
  private dropBrokenImports(): Job[] {
    const libraries = this.libraries();
    const dropped: Job[] = [];
    for (const job of this.jobs) {
      const broken = job.cached?.imports.some((name) => {
        const [library, symbol] = name.split("!") as [string, string];
        return !libraries.get(library)?.includes(symbol);
      });
      if (broken) {
        job.cached = undefined;
        dropped.push(job);
      }
    }
    return dropped;
  }

  /** Compiles and links what the cache does not have. */
  async run(): Promise<void> {
    const stale = this.jobs.filter((job) => !job.cached);
    if (stale.length === 0 && this.dropBrokenImports().length === 0) return;
    const compiler = await (this.options.compiler ?? realCompiler)(this.root, stale.length);
    let finished = 0;
    let total = stale.length * 2;
    const report = (image: string, step: BuildProgress["step"]) =>
      this.options.progress?.({ image, step, finished, total });
    const compileAll = (jobs: readonly Job[]) =>
      Promise.all(
        jobs.map(async (job) => {
          report(job.image.name, "compile");
          job.objects = await compiler.compile(job.image);
          finished++;
          report(job.image.name, "compile");
        }),
      );
    try {
      await compileAll(stale);
      const broken = this.dropBrokenImports();
      total += broken.length * 2;
      await compileAll(broken);
    } finally {
      await compiler.close?.();
    }
    const libraries = this.libraries();
    for (const job of this.jobs) {
      if (!job.objects) continue;
      report(job.image.name, "link");
      const { name, kind } = job.image;
      const linked: LinkedImage = linkImage({ name, kind, ...job.range, objects: job.objects, libraries });
      const { bytes, imports, exports, textSize, dataSize, memorySize } = linked;
      job.cached = this.cache.store(job.key, bytes, { imports, exports, textSize, dataSize, memorySize });
      finished++;
    }
  }

  read(job: Job): Uint8Array {
    const bytes = this.cache.read(job.key, job.cached!);
    if (!bytes)
      throw new BuildError("the build cache is damaged; remove the folder and build again", {
        file: this.output,
      });
    return bytes;
  }

  prune(): void {
    this.cache.prune(this.jobs.map((job) => job.key));
  }

  describe(job: Job, location: string, file: string): BuiltImage {
    const { textSize, dataSize, memorySize } = job.cached!;
    const { name, kind } = job.image;
    const compiled = job.objects !== undefined;
    return { name, kind, location, file, base: job.range.base, textSize, dataSize, memorySize, compiled };
  }

  /** Contents of etc/system: the programs started at boot. */
  systemFile(): Uint8Array {
    const file = join(this.root, "os", "system.txt");
    return existsSync(file) ? this.reader.read(file) : new Uint8Array();
  }
}

function locationOf(image: ImageSource): string {
  if (image.kind === "kernel") return "kernel";
  return `${image.kind === "library" ? "lib" : "bin"}/${image.name}`;
}

/** The state file's view of a finished build: what went in, and the hashes of what came out. */
interface BuildState {
  readonly inputs: string;
  readonly outputs: Readonly<Record<string, string>>;
}

function unchanged(output: string, inputs: string): boolean {
  try {
    const state = JSON.parse(readFileSync(join(output, "state.json"), "utf8")) as BuildState;
    return (
      state.inputs === inputs &&
      Object.entries(state.outputs).every(
        ([name, hash]) => contentHash([readFileSync(join(output, name))]) === hash,
      )
    );
  } catch {
    return false;
  }
}

/** Builds every image of the system, the kernel and the boot archive; takes from the cache what has not changed. */
export async function buildSystem(options: BuildOptions = {}): Promise<BuiltSystem> {
  const start = performance.now();
  const build = new Build(options);
  for (const image of findImages(build.root)) build.add(image, "system");
  if (!build.jobs.some((job) => job.image.kind === "kernel")) {
    throw new BuildError("there is no kernel here: os/kernel/main.ts is missing", { file: build.root });
  }
  await build.run();

  const kernel = join(build.output, "kernel.elf");
  const archive = join(build.output, "archive.img");
  const images = build.jobs.map((job) => {
    const file = job.image.kind === "kernel" ? kernel : join(build.output, "images", `${job.image.name}.elf`);
    return build.describe(job, locationOf(job.image), file);
  });
  const inputs = contentHash([
    build.systemFile(),
    ...build.jobs.flatMap((job) => [locationOf(job.image), job.key]),
  ]);
  if (!unchanged(build.output, inputs)) {
    options.progress?.({ image: "archive", step: "write", finished: 1, total: 1 });
    const outputs: Record<string, string> = {};
    const files: ArchiveFile[] = [{ name: "etc/system", contents: build.systemFile() }];
    const write = (file: string, bytes: Uint8Array) => {
      writeWhole(file, bytes);
      outputs[relative(build.output, file)] = contentHash([bytes]);
    };
    build.jobs.forEach((job, index) => {
      const bytes = build.read(job);
      write(images[index]!.file, bytes);
      files.push(...lineFiles(job.image.name, bytes));
      if (job.image.kind !== "kernel")
        files.push({ name: images[index]!.location, contents: loadablePart(bytes) });
    });
    write(archive, writeArchive(files));
    writeWhole(join(build.output, "state.json"), JSON.stringify({ inputs, outputs } satisfies BuildState));
    build.prune();
  }
  return { kernel, archive, images, milliseconds: performance.now() - start };
}

/** Builds somebody's own program FILE.ts against the system's libraries, whose sources are at `root`. */
export async function buildProgram(file: string, options: BuildOptions = {}): Promise<BuiltImage> {
  const build = new Build(options);
  for (const image of findImages(build.root)) if (image.kind === "library") build.add(image, "system");
  const image = programSource(file);
  const job = build.add(image, "own");
  await build.run();
  const target = join(build.output, "programs", `${image.name}.elf`);
  const bytes = build.read(job);
  if (!existsSync(target) || contentHash([readFileSync(target)]) !== job.cached!.hash)
    writeWhole(target, bytes);
  return build.describe(job, locationOf(image), target);
}

/** A boot archive with more files, or newer ones, than the one built: somebody's own program, another etc/system. */
export function extendArchive(archive: readonly ArchiveFile[], more: readonly ArchiveFile[]): Uint8Array {
  const replaced = new Set(more.map(({ name }) => name));
  return writeArchive([...archive.filter(({ name }) => !replaced.has(name)), ...more]);
}
