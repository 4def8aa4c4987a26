// Entry of a compiling worker thread: a thread does not inherit its process's TypeScript loader, so it registers its own.
import { register } from "tsx/esm/api";

register();
await import("./compile-worker.ts");
