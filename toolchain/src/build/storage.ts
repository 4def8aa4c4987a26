/**
 * Files of a build. Every file appears whole or not at all: it is written under a temporary name and renamed, so that an
 * interrupted build, or two at the same time, leave nothing broken.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

let temporaryCount = 0;

export function writeWhole(file: string, contents: Uint8Array | string): void {
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.${temporaryCount++}.tmp`;
  try {
    writeFileSync(temporary, contents);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Hash of parts, each of known length so that no two lists of parts look alike. */
export function contentHash(parts: Iterable<Uint8Array | string>): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
    hash.update(`${bytes.length}:`);
    hash.update(bytes);
  }
  return hash.digest("hex").slice(0, 40);
}

/** What is remembered of a linked image beside its file. */
export interface CachedImage {
  readonly hash: string;
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly textSize: number;
  readonly dataSize: number;
  readonly memorySize: number;
}

/** Enough for many states of the whole system, small enough to forget about. */
const KEPT_ENTRIES = 200;

/** Linked images by the hash of everything they are made of. */
export class ImageCache {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  private path(key: string, ending: "elf" | "json"): string {
    return join(this.folder, `${key}.${ending}`);
  }

  /** What is remembered, or undefined when there is nothing usable. */
  find(key: string): CachedImage | undefined {
    try {
      const entry = JSON.parse(readFileSync(this.path(key, "json"), "utf8")) as CachedImage;
      return this.read(key, entry) ? entry : undefined;
    } catch {
      return undefined;
    }
  }

  /** The file's bytes, or undefined when they are not what was stored. */
  read(key: string, entry: CachedImage): Uint8Array | undefined {
    try {
      const bytes = readFileSync(this.path(key, "elf"));
      return contentHash([bytes]) === entry.hash ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  store(key: string, bytes: Uint8Array, entry: Omit<CachedImage, "hash">): CachedImage {
    const cached = { hash: contentHash([bytes]), ...entry };
    writeWhole(this.path(key, "elf"), bytes);
    writeWhole(this.path(key, "json"), JSON.stringify(cached));
    return cached;
  }

  /** Removes the entries that were used longest ago; those of `used` count as used now. */
  prune(used: readonly string[]): void {
    const now = new Date();
    for (const key of used)
      if (existsSync(this.path(key, "json"))) utimesSync(this.path(key, "json"), now, now);
    const entries = readdirSync(this.folder).filter((name) => name.endsWith(".json"));
    if (entries.length <= KEPT_ENTRIES) return;
    const byAge = entries
      .map((name) => ({ name, time: statSync(join(this.folder, name)).mtimeMs }))
      .sort((a, b) => b.time - a.time);
    for (const { name } of byAge.slice(KEPT_ENTRIES)) {
      rmSync(join(this.folder, name), { force: true });
      rmSync(join(this.folder, name.replace(/json$/, "elf")), { force: true });
    }
  }
}
