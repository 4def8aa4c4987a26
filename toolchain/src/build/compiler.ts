/**
 * The real compiler behind a build: worker threads, so that a second core halves the time of a first start, and the guest
 * compiler loads natively however the process itself was started (`worker-start.mjs`).
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { BuildError, type CodeObject } from "../contract.ts";
import type { CompileAnswer, CompileFailure, CompileRequest } from "./compile-worker.ts";
import type { ImageCompiler } from "./system.ts";

/** Loading the guest compiler costs a worker as much as compiling a few images. */
const IMAGES_WORTH_A_WORKER = 4;
const MOST_WORKERS = 4;

interface Request {
  readonly request: CompileRequest;
  readonly resolve: (objects: readonly CodeObject[]) => void;
  readonly reject: (error: Error) => void;
}

function restoreError({ message, stack, where }: CompileFailure): Error {
  const error = where ? new BuildError("", where) : new Error(message);
  // The message holds its place already.
  error.message = message;
  if (stack !== undefined) error.stack = stack;
  return error;
}

class WorkerPool implements ImageCompiler {
  private readonly waiting: Request[] = [];
  private readonly idle: Worker[] = [];
  private readonly workers: Worker[] = [];

  constructor(root: string, size: number) {
    for (let index = 0; index < size; index++) {
      const worker = new Worker(new URL("./worker-start.mjs", import.meta.url), { workerData: { root } });
      this.workers.push(worker);
      this.idle.push(worker);
    }
  }

  compile(image: CompileRequest["image"]): Promise<readonly CodeObject[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ request: { image }, resolve, reject });
      this.dispatch();
    });
  }

  private dispatch(): void {
    while (this.waiting.length > 0 && this.idle.length > 0) {
      const worker = this.idle.shift()!;
      const { request, resolve, reject } = this.waiting.shift()!;
      const end = () => {
        worker.off("message", answered);
        worker.off("error", failed);
        worker.off("exit", exited);
      };
      const answered = (answer: CompileAnswer) => {
        end();
        this.idle.push(worker);
        if ("objects" in answer) resolve(answer.objects);
        else reject(restoreError(answer.failure));
        this.dispatch();
      };
      const failed = (error: Error) => {
        end();
        reject(error);
      };
      const exited = () =>
        failed(new Error(`the compiler's worker ended while it compiled ${request.image.name}`));
      worker.on("message", answered);
      worker.on("error", failed);
      worker.on("exit", exited);
      worker.postMessage(request);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}

/** `images`: how many there are to compile. */
export async function createCompiler(root: string, images: number): Promise<ImageCompiler> {
  return new WorkerPool(
    root,
    Math.min(availableParallelism(), MOST_WORKERS, Math.ceil(images / IMAGES_WORTH_A_WORKER)),
  );
}
