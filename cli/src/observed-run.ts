/** What watches the machine of a command: opened before the run, closed after it, its results in files. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { readElfSection, readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { loadKernelLayout } from "@rialto/debugger/host/kernel-layout.ts";
import { flameGraph } from "@rialto/debugger/profile/flame-graph.ts";
import { nameProfile } from "@rialto/debugger/profile/named-profile.ts";
import { foldedStacks, profileTables } from "@rialto/debugger/profile/reports.ts";
import { entryFrames } from "@rialto/debugger/rialto/entry-frames.ts";
import { RialtoView } from "@rialto/debugger/rialto/view.ts";
import { CodeMap } from "@rialto/debugger/symbols/code-map.ts";
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { ProcessorObserver } from "@rialto/machine/i386/core.ts";
import type { InstructionWatcher } from "@rialto/machine/i386/probe.ts";
import { JsonLines } from "@rialto/machine/trace/events.ts";
import { ExactProfiler } from "@rialto/machine/trace/exact-profiler.ts";
import type { GuestView } from "@rialto/machine/trace/guest-view.ts";
import { combineObservers } from "@rialto/machine/trace/observers.ts";
import { PerfettoTrace } from "@rialto/machine/trace/perfetto.ts";
import type { Profile } from "@rialto/machine/trace/profile.ts";
import { type SampledGuest, Sampler } from "@rialto/machine/trace/sampler.ts";
import { Tracer } from "@rialto/machine/trace/tracer.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import type { ObservationRequest, ProfileRequest, TraceRequest } from "./observation-flags.ts";
import { openOutputFile } from "./output-file.ts";
import { inFrontOf, type SessionMachine, type SliceResult } from "./session.ts";

export interface ObservedRun {
  /** What the session runs instead of a machine. */
  around(machine: SessionMachine): SessionMachine;
  /** After the run, however it ended. */
  close(): void;
}

const CHUNK = 0x1_0000;

/** Text that is written in pieces of some size. */
class ChunkedFile {
  readonly path: string;
  readonly #descriptor: number;
  #pending = "";

  constructor(path: string, role: string) {
    this.path = path;
    this.#descriptor = openOutputFile(path, role);
  }

  write(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= CHUNK) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending);
    this.#pending = "";
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
    } catch (error) {
      throw new UserError(`cannot write ${this.path}: ${fileErrorReason(error)}`, { cause: error });
    }
  }

  close(): void {
    this.#flush();
    closeSync(this.#descriptor);
  }
}

function openTrace(
  pc: PentiumPc,
  view: GuestView | undefined,
  { file, form, categories }: TraceRequest,
): Part {
  const output = new ChunkedFile(file, "trace");
  const header = { model: pc.processor.cycleModel.name, frequency: pc.frequency, events: categories };
  const write = (text: string) => output.write(text);
  const sink = form === "lines" ? new JsonLines(header, write) : new PerfettoTrace(header, write);
  const tracer = new Tracer(pc.processor, view, categories, sink);
  return {
    observer: tracer,
    close() {
      tracer.close();
      output.close();
    },
  };
}

/** Names of the code of images; with the kernel's, of the proxies that its processes have. */
export function loadCodeMap(images: readonly { readonly name: string; readonly file: string }[]): CodeMap {
  const files = images.map(({ name, file }) => ({ name, elf: readFileSync(file) }));
  const kernel = files.find(({ name }) => name === "kernel");
  const text = kernel && readElfSection(kernel.elf, ".text");
  if (kernel && text) {
    const elf = entryFrames(loadKernelLayout(REPOSITORY), text, readElfSymbols(kernel.elf));
    files.push({ name: "proxies", elf: Buffer.from(elf) });
  }
  return new CodeMap(files);
}

/** What a sample looks at. */
function sampledGuest(pc: PentiumPc, view: GuestView | undefined): SampledGuest {
  const { processor } = pc;
  return {
    get halted() {
      return processor.halted;
    },
    get instructions() {
      return pc.instructions;
    },
    stack() {
      const { process, name } = view?.thread(view.current()) ?? { process: 0, name: "kernel" };
      return [{ space: { process, name, ring: processor.cpl }, eip: processor.eip }];
    },
  };
}

function writeProfile(pc: PentiumPc, map: CodeMap, profile: Profile, outputs: readonly ChunkedFile[]): void {
  const named = nameProfile(profile, map);
  const title = `Rialto, ${profile.kind} profile, ${Math.round(profile.cycles - profile.idle).toLocaleString("en-US")} busy cycles`;
  for (const output of outputs) {
    if (output.path.endsWith(".svg")) output.write(flameGraph(named, title));
    else if (output.path.endsWith(".folded")) output.write(foldedStacks(named));
    else output.write(profileTables(named, pc.processor.cycleModel.name, pc.frequency));
    output.close();
  }
}

interface Part {
  readonly observer?: ProcessorObserver;
  readonly watcher?: InstructionWatcher;
  /** What the session runs instead of a machine. */
  readonly around?: (machine: SessionMachine) => SessionMachine;
  close(): void;
}

function openProfile(
  pc: PentiumPc,
  view: GuestView | undefined,
  map: CodeMap,
  { files, kind, interval }: ProfileRequest,
): Part {
  const outputs = files.map((file) => new ChunkedFile(file, "profile"));
  if (kind === "exact") {
    const profiler = new ExactProfiler(pc.processor, view, (eip) => map.functionAt(eip)?.start ?? 0);
    return {
      observer: profiler,
      watcher: profiler,
      close: () => writeProfile(pc, map, profiler.profile(), outputs),
    };
  }
  let sampler: Sampler<SliceResult> | undefined;
  return {
    around(machine) {
      const sampled = new Sampler<SliceResult>(machine, sampledGuest(pc, view), interval);
      sampler = sampled;
      return inFrontOf(machine, (untilCycle) => sampled.run(untilCycle));
    },
    close: () => sampler && writeProfile(pc, map, sampler.profile(), outputs),
  };
}

/** The board is loaded with that kernel and has not run; `images` have symbols. */
export function openObservedRun(
  pc: PentiumPc,
  kernel: Uint8Array,
  images: readonly { readonly name: string; readonly file: string }[],
  request: ObservationRequest,
): ObservedRun {
  const view = RialtoView.find(pc, loadKernelLayout(REPOSITORY), readElfSymbols(kernel));
  const parts: Part[] = [];
  if (request.trace) parts.push(openTrace(pc, view, request.trace));
  if (request.profile) parts.push(openProfile(pc, view, loadCodeMap(images), request.profile));
  if (request.coverage) parts.push({ watcher: request.coverage, close: () => {} });
  const observers = parts.flatMap(({ observer }) => observer ?? []);
  const [watcher, second] = parts.flatMap((part) => part.watcher ?? []);
  if (second) throw new UserError("coverage and an exact profile watch instructions: take one of them");
  pc.processor.observer = combineObservers(observers);
  if (watcher) pc.processor.watcher = watcher;
  return {
    around: (machine) => parts.reduce((inner, { around }) => around?.(inner) ?? inner, machine),
    close() {
      pc.processor.observer = null;
      if (watcher) pc.processor.watcher = null;
      for (const part of parts) part.close();
    },
  };
}
