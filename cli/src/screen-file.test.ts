import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { expect, it } from "vitest";
import { writeScreen } from "./screen-file.ts";

it("writes text in text mode and a pixmap of a picture", () => {
  const folder = mkdtempSync(join(tmpdir(), "rialto-screen-"));
  try {
    const file = join(folder, "screen");
    const pc = new PentiumPc({ memory: 2 ** 21 });
    pc.ram.set([0x48, 7, 0x69, 7], 0xb8000);
    writeScreen(openSync(file, "w"), pc);
    expect(readFileSync(file, "utf8")).toBe("Hi\n");
    for (const [register, value] of [
      [1, 8],
      [2, 2],
      [3, 32],
      [4, 0x41],
    ] as const) {
      pc.display.writePort(0x1ce, 2, register);
      pc.display.writePort(0x1cf, 2, value);
    }
    writeScreen(openSync(file, "w"), pc);
    expect(readFileSync(file)).toEqual(Buffer.concat([Buffer.from("P6\n8 2\n255\n"), Buffer.alloc(48)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
