/** `--screen FILE`: what the machine shows at the end of a run, as a portable pixmap, or as lines of text in text mode. */
import { closeSync, writeSync } from "node:fs";
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";

export function writeScreen(file: number, pc: PentiumPc): void {
  const picture = pc.display.picture();
  if (picture) {
    const { width, height, rgb } = picture;
    writeSync(file, `P6\n${width} ${height}\n255\n`);
    for (let at = 0; at < rgb.length; ) at += writeSync(file, rgb, at);
  } else writeSync(file, `${pc.vga.text().join("\n").trimEnd()}\n`);
  closeSync(file);
}
