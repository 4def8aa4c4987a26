/** A worker thread that compiles images one after the other; `compiler.ts` is its other end. */
import { parentPort, workerData } from "node:worker_threads";
import { BuildError, type CodeObject, type SourcePosition } from "../contract.ts";
import { compileObjects } from "./compile-image.ts";
import type { ImageSource } from "./sources.ts";

export interface CompileRequest {
  readonly image: ImageSource;
}

/** Errors cross the border between threads as their parts, so that a `BuildError` is one again on the other side. */
export interface CompileFailure {
  readonly message: string;
  readonly stack: string | undefined;
  /** Present when it was a `BuildError`. */
  readonly where?: {
    readonly file: string | undefined;
    readonly position: SourcePosition | undefined;
    readonly symbol: string | undefined;
  };
}

export type CompileAnswer =
  | { readonly objects: readonly CodeObject[] }
  | { readonly failure: CompileFailure };

function describeFailure(error: unknown): CompileFailure {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined };
  const { message, stack } = error;
  if (!(error instanceof BuildError)) return { message, stack };
  const { file, position, symbol } = error;
  return { message, stack, where: { file, position, symbol } };
}

const port = parentPort;
if (port) {
  const { root } = workerData as { root: string };
  port.on("message", async ({ image }: CompileRequest) => {
    let answer: CompileAnswer;
    try {
      answer = { objects: await compileObjects(root, image) };
    } catch (error) {
      answer = { failure: describeFailure(error) };
    }
    port.postMessage(answer);
  });
}
