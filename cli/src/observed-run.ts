/** What watches the machine of a command: opened before the run, closed after it, its results in files. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { readElfSection, readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { GuestThreads } from "@rialto/debugger/guest-threads.ts";
import { loadKernelLayout } from "@rialto/debugger/host/kernel-layout.ts";
import { flameGraph } from "@rialto/debugger/profile/flame-graph.ts";
import {
  nameProfile,
  PLAIN_RINGS,
  RIALTO_RINGS,
  type RingNames,
} from "@rialto/debugger/profile/named-profile.ts";
import { foldedStacks, profileTables } from "@rialto/debugger/profile/reports.ts";
import { entryFrames } from "@rialto/debugger/rialto/entry-frames.ts";
import { RialtoView } from "@rialto/debugger/rialto/view.ts";
import { CodeMap, type ImageFile } from "@rialto/debugger/symbols/code-map.ts";
import { FrameTable } from "@rialto/debugger/unwind/frame-table.ts";
import { unwind } from "@rialto/debugger/unwind/unwinder.ts";
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { ProcessorObserver } from "@rialto/machine/i386/core.ts";
import type { InstructionWatcher } from "@rialto/machine/i386/probe.ts";
import { AddressSpaceView } from "@rialto/machine/trace/address-space-view.ts";
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

/** What is known of the guest. */
interface ObservedGuest {
  readonly view: GuestView;
  readonly threads: GuestThreads;
  readonly ringNames: RingNames;
  readonly title: string;
}

/** Rialto by its own records; other kernels by what the processor shows. */
function observedGuest(pc: PentiumPc, kernel: Uint8Array, title: string): ObservedGuest {
  const [layout, symbols] = [loadKernelLayout(REPOSITORY), readElfSymbols(kernel)];
  const view = RialtoView.find(pc, layout, symbols);
  if (view) {
    const threads = new GuestThreads(pc, layout, symbols);
    return { view, threads, ringNames: RIALTO_RINGS, title: "Rialto" };
  }
  const threads = new GuestThreads(pc, undefined, undefined);
  return { view: new AddressSpaceView(pc.processor), threads, ringNames: PLAIN_RINGS, title };
}

function openTrace(pc: PentiumPc, view: GuestView, { file, form, categories }: TraceRequest): Part {
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

/** Images as files; with Rialto's kernel, what is known of its entry stubs and of the proxies that its processes have. */
function loadImages(images: readonly { readonly name: string; readonly file: string }[]): ImageFile[] {
  const files = images.map(({ name, file }) => ({ name, elf: readFileSync(file) }));
  const kernel = files.find(({ name }) => name === "kernel");
  const text = kernel && readElfSection(kernel.elf, ".text");
  if (kernel && text) {
    const elf = entryFrames(loadKernelLayout(REPOSITORY), text, readElfSymbols(kernel.elf));
    files.push({ name: "proxies", elf: Buffer.from(elf) });
  }
  return files;
}

/** Names of the code of images. */
export function loadCodeMap(images: readonly { readonly name: string; readonly file: string }[]): CodeMap {
  return new CodeMap(loadImages(images));
}

/** What a sample looks at. Chains of calls go through traps, as far as their thread's stacks reach. */
function sampledGuest(pc: PentiumPc, guest: ObservedGuest, map: CodeMap, frames: FrameTable): SampledGuest {
  const { processor } = pc;
  const { view, threads } = guest;
  const isCode = (address: number) => map.functionAt(address) !== undefined;
  return {
    get halted() {
      return processor.halted;
    },
    get instructions() {
      return pc.instructions;
    },
    stack() {
      const { process, name } = view.thread(view.current());
      const space = threads.processorSpace();
      const load = (address: number) => threads.addresses.word(space, address);
      let ring = processor.cpl;
      return unwind([...processor.registers, processor.eip], frames, load, isCode).map((frame, depth) => {
        ring = frame.ring ?? ring;
        // Of a caller only the function matters.
        const eip = depth === 0 ? frame.eip : (map.functionAt(frame.eip)?.start ?? frame.eip);
        return { space: { process, name, ring }, eip };
      });
    },
  };
}

function writeProfile(
  pc: PentiumPc,
  { title: system, ringNames }: ObservedGuest,
  map: CodeMap,
  profile: Profile,
  outputs: readonly ChunkedFile[],
): void {
  const named = nameProfile(profile, map, ringNames);
  const title = `${system}, ${profile.kind} profile, ${Math.round(profile.cycles - profile.idle).toLocaleString("en-US")} busy cycles`;
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
  guest: ObservedGuest,
  images: readonly ImageFile[],
  { files, kind, interval }: ProfileRequest,
): Part {
  const map = new CodeMap(images);
  const outputs = files.map((file) => new ChunkedFile(file, "profile"));
  if (kind === "exact") {
    const profiler = new ExactProfiler(pc.processor, guest.view, (eip) => map.functionAt(eip)?.start ?? 0);
    return {
      observer: profiler,
      watcher: profiler,
      close: () => writeProfile(pc, guest, map, profiler.profile(), outputs),
    };
  }
  const frames = new FrameTable(
    images.flatMap(({ elf }) => readElfSection(elf, ".debug_frame")?.bytes ?? []),
  );
  let sampler: Sampler<SliceResult> | undefined;
  return {
    around(machine) {
      const sampled = new Sampler<SliceResult>(machine, sampledGuest(pc, guest, map, frames), interval);
      sampler = sampled;
      return inFrontOf(machine, (untilCycle) => sampled.run(untilCycle));
    },
    close: () => sampler && writeProfile(pc, guest, map, sampler.profile(), outputs),
  };
}

/** The board is loaded with that kernel and has not run; `images` have symbols. A kernel that is not Rialto's goes by `title`. */
export function openObservedRun(
  pc: PentiumPc,
  kernel: Uint8Array,
  images: readonly { readonly name: string; readonly file: string }[],
  request: ObservationRequest,
  title = "kernel",
): ObservedRun {
  const guest = observedGuest(pc, kernel, title);
  const parts: Part[] = [];
  if (request.trace) parts.push(openTrace(pc, guest.view, request.trace));
  if (request.profile) parts.push(openProfile(pc, guest, loadImages(images), request.profile));
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
