/**
 * The page: boots the system in a worker and shows its console. With `#interpreted` nothing is compiled; with `#idle` nothing boots.
 * `rialtoMeasure` runs it to a cycle and tells what came of it.
 */
import type { GuestOptions, Measurement, SystemFiles } from "./guest.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { bytesOfKey, ConsoleText } from "./terminal.ts";

const MEMORY = 16 * 2 ** 20;

async function load(name: string): Promise<Uint8Array> {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`cannot load ${name}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function loadSystem(): Promise<SystemFiles> {
  const [kernel, archive] = await Promise.all([load("kernel.elf"), load("archive.img")]);
  return { kernel, archive };
}

function startWorker(first: ToWorker, told: (message: FromWorker) => void): Worker {
  const worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => told(data));
  worker.postMessage(first);
  return worker;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element '${id}'`);
  return found;
}

async function bootPage(): Promise<void> {
  const [screen, state] = [element("console"), element("state")];
  const text = new ConsoleText();
  const options: GuestOptions = {
    memory: MEMORY,
    jit: location.hash === "#interpreted" ? "off" : "on",
  };
  state.textContent = "loading";
  const worker = startWorker({ kind: "boot", files: await loadSystem(), options }, (message) => {
    if (message.kind === "output") {
      screen.textContent = text.add(message.bytes);
      scrollTo(0, document.body.scrollHeight);
    } else if (message.kind === "speed") {
      state.textContent = `${(message.cycle / 1e6).toFixed(0)} million cycles, ${(message.instructions / 1e6).toFixed(0)} million instructions`;
    } else if (message.kind === "ended") state.textContent = `the machine has stopped: ${message.reason}`;
  });
  document.addEventListener("keydown", (event) => {
    const bytes = event.metaKey || event.altKey ? undefined : bytesOfKey(event.key, event.ctrlKey);
    if (!bytes) return;
    event.preventDefault();
    worker.postMessage({ kind: "input", bytes } satisfies ToWorker);
  });
}

async function measure(options: GuestOptions, cycles: number): Promise<Measurement> {
  const files = await loadSystem();
  return new Promise((resolve, reject) => {
    const worker = startWorker({ kind: "measure", files, options, cycles }, (message) => {
      if (message.kind === "measured") resolve(message.measurement);
    });
    worker.addEventListener("error", ({ message }) => reject(new Error(message)));
  });
}

declare global {
  var rialtoMeasure: typeof measure;
}
globalThis.rialtoMeasure = measure;

if (location.hash !== "#idle") {
  bootPage().catch((error: unknown) => {
    element("state").textContent = String(error);
  });
}
