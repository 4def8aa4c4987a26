/** Stands for the engine's bytes where there is no Node (`#engine` of machine/package.json): whoever bundles puts them in its place. */
const bytes: Uint8Array = new Uint8Array();
export default bytes;
