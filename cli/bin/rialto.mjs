#!/usr/bin/env node
/**
 * Start of the `rialto` command: makes Node run this project's TypeScript as it is, from whatever folder the command is
 * called in, then hands over to `src/main.ts`.
 */
import { fileURLToPath } from "node:url";
import { register } from "tsx/esm/api";

// Without this tsx would read the tsconfig.json of the user's folder.
process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL("../../tsconfig.json", import.meta.url));
register();

const { main } = await import("../src/main.ts");
await main(process.argv);
