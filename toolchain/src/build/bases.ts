/**
 * Preferred bases of all images, from `os/bases.json`: one place, so that no two images of the system ever collide.
 * Bases lie in the part of the shared region that the kernel has for images, 0x40000000 to "end"; "user" is where programs from outside the system are linked.
 */
import { BuildError } from "../contract.ts";
import { KERNEL_BASE } from "../link/image.ts";
import type { ImageSource } from "./sources.ts";

const LOWEST = 0x40000000;
const HIGHEST = 0x50000000;
const SPACING = 0x100000;
/** The window on physical memory, in which the kernel's image lies, ends here. */
const KERNEL_LIMIT = 0xb0000000;

export interface BaseRange {
  readonly base: number;
  readonly limit: number;
}

export class BaseTable {
  private readonly bases: ReadonlyMap<string, number>;

  constructor(json: string, file = "os/bases.json") {
    const fail = (message: string): never => {
      throw new BuildError(message, { file });
    };
    let parsed: unknown;
    try {
      parsed = JSON.parse(json);
    } catch (cause) {
      throw new BuildError("this is not JSON", { file }, { cause });
    }
    if (typeof parsed !== "object" || parsed === null) fail("a table of names and bases is wanted");
    const bases = new Map<string, number>();
    for (const [name, value] of Object.entries(parsed as object)) {
      const base = typeof value === "string" && /^0x[0-9a-f]{8}$/.test(value) ? Number(value) : Number.NaN;
      if (!(base >= LOWEST && base <= HIGHEST && base % SPACING === 0)) {
        fail(
          `the base of "${name}" must be a string like "0x41000000", a multiple of 1 MB from 0x40000000 to 0x50000000`,
        );
      }
      const twin = [...bases].find(([, other]) => other === base);
      if (twin) fail(`"${name}" and "${twin[0]}" have the same base`);
      bases.set(name, base);
    }
    for (const name of ["user", "end"]) if (!bases.has(name)) fail(`the entry "${name}" is missing`);
    this.bases = bases;
  }

  private limitOf(base: number): number {
    return Math.min(...[...this.bases.values()].filter((other) => other > base));
  }

  /** Where an image of the system goes; `own` images (somebody's own programs) all get the reserved base. */
  range(image: ImageSource, owner: "system" | "own"): BaseRange {
    if (image.kind === "kernel") return { base: KERNEL_BASE, limit: KERNEL_LIMIT };
    const name = owner === "own" ? "user" : image.name;
    const base = this.bases.get(name);
    if (base === undefined) {
      const reserved = this.bases.get("user")!;
      const used = [...this.bases.values()].filter((other) => other < reserved);
      const free = Math.max(LOWEST, ...used) + SPACING;
      throw new BuildError(
        `image "${image.name}" has no preferred base; add the line "${image.name}": "0x${free.toString(16)}"`,
        { file: "os/bases.json" },
      );
    }
    return { base, limit: this.limitOf(base) };
  }
}
