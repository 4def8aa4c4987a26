/** What watches the machine of a command: opened before the run, closed after it, its results in files. */
import { closeSync, writeSync } from "node:fs";
import { readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { loadKernelLayout } from "@rialto/debugger/host/kernel-layout.ts";
import { RialtoView } from "@rialto/debugger/rialto/view.ts";
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { ProcessorObserver } from "@rialto/machine/i386/core.ts";
import { JsonLines } from "@rialto/machine/trace/events.ts";
import type { GuestView } from "@rialto/machine/trace/guest-view.ts";
import { combineObservers } from "@rialto/machine/trace/observers.ts";
import { PerfettoTrace } from "@rialto/machine/trace/perfetto.ts";
import { Tracer } from "@rialto/machine/trace/tracer.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import type { ObservationRequest, TraceRequest } from "./observation-flags.ts";
import { openOutputFile } from "./output-file.ts";

export interface ObservedRun {
  /** After the run, however it ended. */
  close(): void;
}

const CHUNK = 0x1_0000;

/** Text that is written in pieces of some size. */
class ChunkedFile {
  readonly #path: string;
  readonly #descriptor: number;
  #pending = "";

  constructor(path: string, role: string) {
    this.#path = path;
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
      throw new UserError(`cannot write ${this.#path}: ${fileErrorReason(error)}`, { cause: error });
    }
  }

  close(): void {
    this.#flush();
    closeSync(this.#descriptor);
  }
}

function openTrace(pc: PentiumPc, view: GuestView | undefined, { file, form, categories }: TraceRequest) {
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

/** The board is loaded with that kernel and has not run. */
export function openObservedRun(pc: PentiumPc, kernel: Uint8Array, request: ObservationRequest): ObservedRun {
  const view = RialtoView.find(pc, loadKernelLayout(REPOSITORY), readElfSymbols(kernel));
  const parts: { readonly observer: ProcessorObserver; close(): void }[] = [];
  if (request.trace) parts.push(openTrace(pc, view, request.trace));
  pc.processor.observer = combineObservers(parts.map(({ observer }) => observer));
  return {
    close() {
      pc.processor.observer = null;
      for (const part of parts) part.close();
    },
  };
}
