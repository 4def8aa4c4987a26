// Entry of a compiling worker thread. The two big packages are loaded before the TypeScript loader is registered: the loader
// would read through their 15 MB of JavaScript, which takes six times as long as loading them. A thread does not inherit
// its process's TypeScript loader, so it registers its own.
import "assemblyscript/asc";
import "typescript";
import { register } from "tsx/esm/api";

register();
await import("./compile-worker.ts");
