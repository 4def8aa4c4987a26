/** The engine's bytes, where there is Node (`#engine` of machine/package.json). */
import { engineBytes } from "./compile.ts";

export default engineBytes();
