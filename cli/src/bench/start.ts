/**
 * `rialto bench start`: how long it takes until the system is at its prompt, and with how much memory: by `rialto boot` in Node, and on the
 * page of `rialto web` in Chromium, where that is installed. Each run is a process, or a browser, of its own; the system is built before.
 *
 * Time is the wall's, from the start of the process or of the page's loading; processor time and memory (resident set) are of the process
 * that runs the machine, where the host tells (Linux): Node, or the browser's process for the page.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { buildSystem } from "@rialto/toolchain/build/system.ts";
import { Chromium, chromium } from "../chromium.ts";
import { UserError } from "../errors.ts";
import { bundleSite, type Site, serveSite } from "../web-site.ts";
import { formatColumns, median } from "./reports.ts";

export interface Start {
  readonly milliseconds: number;
  /** Of processor time. */
  readonly processor?: number | undefined;
  /** Resident, in 2^20 bytes. */
  readonly megabytes?: number | undefined;
}

export interface StartRow {
  readonly where: string;
  readonly code: "compiled" | "interpreted";
  readonly starts: readonly Start[];
}

export interface StartReport {
  readonly node: string;
  /** Of the last minute, when the bench began and when it ended; and cores. */
  readonly load: readonly [before: number, after: number];
  readonly rows: readonly StartRow[];
  readonly withoutChromium?: string;
}

const PROMPT = /^rialto> $/m;
const RIALTO = fileURLToPath(new URL("../../bin/rialto.mjs", import.meta.url));
const PATIENCE = 120_000;
const TICKS_PER_SECOND = 100;

/** Undefined where there is no /proc. */
function readProcess(pid: number): Pick<Start, "processor" | "megabytes"> {
  try {
    const statistics = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [, ...fields] = statistics.slice(statistics.lastIndexOf(")")).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    const resident = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
    return {
      processor: (1000 * ticks) / TICKS_PER_SECOND,
      megabytes: resident ? Number(resident[1]) / 1024 : undefined,
    };
  } catch {
    return {};
  }
}

function startInNode(jit: "on" | "off"): Promise<Start> {
  const begun = performance.now();
  const child = spawn(process.execPath, [RIALTO, "boot", "--jit", jit], {
    stdio: ["pipe", "pipe", "ignore"],
    timeout: PATIENCE,
    killSignal: "SIGKILL",
  });
  let output = "";
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => reject(new UserError(`'rialto boot' ended before its prompt: ${output}`)));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text.replaceAll("\r", "");
      if (!PROMPT.test(output) || child.pid === undefined) return;
      const milliseconds = performance.now() - begun;
      resolve({ milliseconds, ...readProcess(child.pid) });
      child.removeAllListeners("close");
      child.kill("SIGKILL");
    });
  });
}

/** Resolves in the page, at the prompt, with the time since its navigation began. */
const AT_PROMPT = `new Promise((resolve, reject) => {
  const look = () => {
    if (${PROMPT}.test(document.getElementById("console")?.textContent ?? "")) resolve(performance.now());
    else if (performance.now() > ${PATIENCE}) reject(new Error("no prompt"));
    else setTimeout(look, 5);
  };
  look();
})`;

async function startInChromium(program: string, address: string): Promise<Start> {
  const browser = new Chromium(program);
  try {
    const evaluate = await browser.open(address);
    // Until then expressions belong to the empty page that it replaces.
    while ((await evaluate<string>("location.href")) !== address)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const milliseconds = await evaluate<number>(AT_PROMPT);
    const { processInfo } = await browser.call<{
      processInfo: readonly { readonly type: string; readonly id: number }[];
    }>("SystemInfo.getProcessInfo");
    // The empty first page may have a process too: the machine's is the larger one.
    const [largest] = processInfo
      .filter(({ type }) => type === "renderer")
      .map(({ id }) => readProcess(id))
      .sort((a, b) => (b.megabytes ?? 0) - (a.megabytes ?? 0));
    return { milliseconds, ...largest };
  } finally {
    await browser.close();
  }
}

async function measureChromium(program: string, site: Site, runs: number): Promise<StartRow[]> {
  const { server, port } = await serveSite(site, 0);
  const address = `http://127.0.0.1:${port}/`;
  const [compiled, interpreted]: [Start[], Start[]] = [[], []];
  try {
    for (let run = 0; run < runs; run++) {
      compiled.push(await startInChromium(program, address));
      interpreted.push(await startInChromium(program, `${address}#interpreted`));
    }
  } finally {
    server.close();
  }
  return [
    { where: "Chromium", code: "compiled", starts: compiled },
    { where: "Chromium", code: "interpreted", starts: interpreted },
  ];
}

export async function measureStart(runs: number): Promise<StartReport> {
  const [before = 0] = loadavg();
  const system = await buildSystem();
  const [compiled, interpreted]: [Start[], Start[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    compiled.push(await startInNode("on"));
    interpreted.push(await startInNode("off"));
  }
  const rows: StartRow[] = [
    { where: "Node", code: "compiled", starts: compiled },
    { where: "Node", code: "interpreted", starts: interpreted },
  ];
  if (chromium) rows.push(...(await measureChromium(chromium, await bundleSite(system), runs)));
  const [after = 0] = loadavg();
  return {
    node: process.version,
    load: [before, after],
    rows,
    ...(!chromium && { withoutChromium: "Chromium is not installed" }),
  };
}

function cell(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return "-";
  const [least, most] = [Math.min(...known), Math.max(...known)].map((value) => value.toFixed(0));
  return `${median(known).toFixed(0)} (${least}-${most})`;
}

export function formatStart({ node, load, rows, withoutChromium }: StartReport): string {
  const cells = rows.map(({ where, code, starts }) => [
    `${where}, ${code}`,
    cell(starts.map(({ milliseconds }) => milliseconds)),
    cell(starts.map(({ processor }) => processor)),
    cell(starts.map(({ megabytes }) => megabytes)),
  ]);
  const [before, after] = load.map((value) => value.toFixed(1));
  return [
    formatColumns([["to the prompt", "ms", "processor ms", "MB"], ...cells]),
    `\nMedian (least-most) of ${rows[0]?.starts.length ?? 0} runs; Node ${node}; load of the host ${before} to ${after}.\n`,
    withoutChromium ? `Chromium left out: ${withoutChromium}.\n` : "",
  ].join("");
}
