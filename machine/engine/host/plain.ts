/** How the engine is compiled where the host cannot be told how (`#compilation` of machine/package.json). */
export function compileWith<T>(compile: () => T): T {
  return compile();
}
