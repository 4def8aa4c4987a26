/** Start of a process that runs one image on our machine or on v86 for `rialto bench machine`. */
import { fileURLToPath } from "node:url";
import { register } from "tsx/esm/api";

process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL("../../tsconfig.json", import.meta.url));
register();

const { runEngineProcess } = await import("../src/bench/engine-process.ts");
await runEngineProcess(process.argv.slice(2));
