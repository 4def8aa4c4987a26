/** The page in a browser: the same run as in Node, interpreted and compiled; and a session at its console. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSystem } from "@rialto/toolchain/build/system.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Measurement, measureGuest } from "../../web/src/guest.ts";
import { bytesOfKey, ConsoleText } from "../../web/src/terminal.ts";
import { Chromium, chromium } from "./chromium.ts";
import { bundleSite, serveSite } from "./web-site.ts";

const MEMORY = 16 * 2 ** 20;
/** Booting takes 2.3 million. */
const CYCLES = 3_000_000;
const PROMPT = /^rialto> $/m;
const BUILD_TIME = 600_000;
const withChromium = chromium ? "in Chromium" : "in Chromium (skipped: it is not installed)";

describe.skipIf(!chromium)(withChromium, () => {
  let browser: Chromium;
  let server: Server;
  let address = "";
  let files: { kernel: Uint8Array; archive: Uint8Array };

  beforeAll(async () => {
    const system = await buildSystem();
    files = { kernel: readFileSync(system.kernel), archive: readFileSync(system.archive) };
    const served = await serveSite(await bundleSite(system), 0);
    server = served.server;
    address = `http://127.0.0.1:${served.port}/`;
    browser = new Chromium(chromium ?? "");
  }, BUILD_TIME);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it("boots to a prompt with the state that it has in Node, interpreted and compiled", async () => {
    const here = measureGuest(files, { memory: MEMORY, jit: "off" }, CYCLES, () => performance.now());
    expect(here.output).toMatch(PROMPT);
    const evaluate = await browser.open(`${address}#idle`);
    for (let tries = 0; !(await evaluate<boolean>("'rialtoMeasure' in globalThis")) && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    for (const jit of ["off", "on"]) {
      const options = JSON.stringify({ memory: MEMORY, jit });
      const there = await evaluate<Measurement>(`rialtoMeasure(${options}, ${CYCLES})`);
      const { cycle, instructions, stateHash, output } = here;
      expect(there).toMatchObject({ cycle, instructions, stateHash, output });
      if (jit === "on") expect(there.compiled).toBeGreaterThan(0);
    }
  });

  it("shows a console that one can type at", async () => {
    const evaluate = await browser.open(address);
    const shows = async (text: RegExp) => {
      let shown = "";
      for (let tries = 0; tries < 300 && !text.test(shown); tries++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        shown = await evaluate<string>("document.getElementById('console')?.textContent ?? ''");
      }
      expect(shown).toMatch(text);
    };
    await shows(PROMPT);
    const keys = JSON.stringify(["r", "u", "n", " ", "h", "e", "l", "l", "o", "Enter"]);
    await evaluate(
      `for (const key of ${keys}) document.dispatchEvent(new KeyboardEvent("keydown", { key }))`,
    );
    await shows(/run hello\nHello from process /);
  });
});

describe("the page", () => {
  it(
    "is written to a folder as files for any server",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "rialto-web-"));
      const rialto = new URL("../bin/rialto.mjs", import.meta.url).pathname;
      const { status, stdout } = spawnSync(process.execPath, [rialto, "web", "--out", folder], {
        encoding: "utf8",
      });
      expect(status).toBe(0);
      for (const name of ["index.html", "page.js", "worker.js", "kernel.elf", "archive.img"]) {
        expect(stdout).toContain(name);
        expect(existsSync(join(folder, name)), name).toBe(true);
      }
      rmSync(folder, { recursive: true });
    },
    BUILD_TIME,
  );

  it("shows text and sends keys as a terminal does", () => {
    const text = new ConsoleText();
    const bytes = (line: string) => new TextEncoder().encode(line);
    text.add(bytes("one\r\n> rub"));
    expect(text.add(bytes("\b \bn\b\b\b\b\b\b\b"))).toBe("one\n");
    expect(bytesOfKey("Enter", false)).toEqual(Uint8Array.of(13));
    expect(bytesOfKey("c", true)).toEqual(Uint8Array.of(3));
    expect(bytesOfKey("ä", false)).toEqual(bytes("ä"));
    expect(bytesOfKey("F1", false)).toBeUndefined();
  });
});
