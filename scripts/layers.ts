/**
 * Checks the arrows of ARCHITECTURE.md: the folder a file lies in decides what it may import. Prints every import that points
 * elsewhere and exits with 1.
 *
 * Rooms are the longest matching prefix below. A room may import itself, the rooms it names, and its packages; tests may also import
 * the test libraries and Node.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

interface Room {
  readonly folder: string;
  readonly imports: readonly string[];
  /** Packages besides the workspace's own, "node:" for all of Node's, "#…" for subpath imports of the own one. */
  readonly packages: readonly string[];
}

const ASSEMBLER = ["machine/src/i386/assembler.ts", "machine/src/i386/assembly.ts"];

const ROOMS: readonly Room[] = [
  { folder: "os/interfaces", imports: [], packages: [] },
  { folder: "os/kernel", imports: ["os/interfaces"], packages: [] },
  { folder: "os/lib", imports: ["os/interfaces"], packages: [] },
  ...["drivers", "services", "apps", "tests"].map((name) => ({
    folder: `os/${name}`,
    imports: ["os/interfaces", "os/lib"],
    packages: [],
  })),
  { folder: "machine/engine", imports: [], packages: [] },
  { folder: "machine/engine/host", imports: ["machine/engine/layout"], packages: ["node:"] },
  { folder: "machine/src", imports: ["machine/engine/layout"], packages: ["#compilation", "#engine"] },
  { folder: "machine/src/i386/x87/host", imports: ["machine/src"], packages: ["node:"] },
  { folder: "machine/src/test", imports: ["machine/src"], packages: ["node:", "iced-x86"] },
  {
    folder: "toolchain/src",
    imports: ["machine/src/i386"],
    packages: ["assemblyscript", "typescript"],
  },
  { folder: "toolchain/src/build", imports: ["toolchain/src", ...ASSEMBLER], packages: ["node:", "tsx"] },
  {
    folder: "toolchain/src/differential",
    imports: ["toolchain/src", "machine/src"],
    packages: ["node:", "fast-check"],
  },
  {
    folder: "toolchain/src/back/testing",
    imports: ["toolchain/src", "machine/src/i386"],
    packages: ["node:", "assemblyscript"],
  },
  { folder: "debugger/src", imports: ["machine/src", "toolchain/src"], packages: [] },
  { folder: "debugger/src/host", imports: ["debugger/src"], packages: ["node:"] },
  {
    folder: "cli",
    imports: ["machine/src", "toolchain/src", "debugger/src", "web/src", "scripts"],
    packages: ["node:", "commander", "picocolors", "tsx", "esbuild"],
  },
  { folder: "web", imports: ["machine/src"], packages: [] },
  { folder: "scripts", imports: [], packages: ["node:", "typescript", "commander"] },
];

/** What every test may import besides. */
const TEST_PACKAGES = ["node:", "vitest", "fast-check", "iced-x86", "assemblyscript", "typescript"];

const root = fileURLToPath(new URL("..", import.meta.url));
const WORKSPACE = /^@rialto\/(machine|toolchain|debugger|cli)\/(.*)$/;

function roomOf(path: string): Room | undefined {
  const rooms = ROOMS.filter(({ folder }) => path.startsWith(`${folder}/`));
  return rooms.sort((a, b) => b.folder.length - a.folder.length)[0];
}

function inside(path: string, places: readonly string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`));
}

/** Path below the root that a specifier means, or the package's name. */
function resolve(from: string, specifier: string): { readonly path?: string; readonly name?: string } {
  if (specifier.startsWith(".")) return { path: relative(root, join(root, dirname(from), specifier)) };
  const workspace = WORKSPACE.exec(specifier);
  if (workspace) return { path: `${workspace[1]}/src/${workspace[2]}` };
  return { name: specifier };
}

/** A reason why `file` may not import `specifier`, or undefined. */
function refusal(file: string, room: Room, specifier: string): string | undefined {
  const { path, name } = resolve(file, specifier);
  const test = file.endsWith(".test.ts") || file.endsWith("/testing.ts");
  if (name !== undefined) {
    const packages = test ? [...room.packages, ...TEST_PACKAGES] : room.packages;
    const allowed = packages.some((known) =>
      known === "node:" ? name.startsWith("node:") : name === known || name.startsWith(`${known}/`),
    );
    return allowed ? undefined : `may not import the package ${name}`;
  }
  if (file.endsWith(".asm.ts"))
    return inside(path!, ASSEMBLER) ? undefined : `assembly may import only the assembler, not ${path}`;
  const own = roomOf(`${path}`);
  if (own === room || inside(path!, [room.folder]) || inside(path!, room.imports)) return undefined;
  // A test stands beside its source and may use the test drivers of machine and toolchain.
  if (test && inside(path!, ["machine/src", "toolchain/src"])) return undefined;
  return `${room.folder} may not import ${path}`;
}

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"], {
  cwd: root,
})
  .toString()
  .split("\n")
  .filter((file) => file && !file.endsWith(".d.ts"));

let wrong = 0;
for (const file of files) {
  const room = roomOf(file);
  if (!room) continue;
  const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), "utf8"), true, true);
  for (const { fileName } of importedFiles) {
    const reason = refusal(file, room, fileName);
    if (reason === undefined) continue;
    process.stderr.write(`${file}: ${reason}\n`);
    wrong++;
  }
}
if (wrong > 0) process.exitCode = 1;
else process.stdout.write(`layers: ${files.length} files, every import points along an arrow\n`);
