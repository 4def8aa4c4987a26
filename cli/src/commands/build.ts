/** `rialto build`: builds the system, or one program. */

import type { BuiltImage } from "@rialto/toolchain/build/system.ts";
import type { Command } from "commander";

function describe(image: BuiltImage): string {
  const size = `${image.textSize} bytes of code, ${image.dataSize} of data`;
  return `${image.name.padEnd(12)} 0x${image.base.toString(16)}  ${size}${image.compiled ? "" : "  (unchanged)"}`;
}

export function register(program: Command): void {
  program
    .command("build [file]")
    .description("build the whole system ('all', the default), or your own program FILE.ts")
    .action(async (file: string | undefined) => {
      const { buildProgramReporting, buildSystemReporting } = await import("../build-system.ts");
      if (file !== undefined && file !== "all") {
        const image = await buildProgramReporting(file);
        process.stdout.write(`${describe(image)}\n${image.file}\n`);
        return;
      }
      const system = await buildSystemReporting();
      for (const image of system.images) process.stdout.write(`${describe(image)}\n`);
      process.stdout.write(`${system.kernel}\n${system.archive}\n`);
    });
}
