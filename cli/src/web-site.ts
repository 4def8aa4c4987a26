/** The files of the page (web/): bundled scripts, and the built system that they boot. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { extname, join } from "node:path";
import { engineBytes } from "@rialto/machine/i386/engine.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { build, type Plugin } from "esbuild";

export type Site = ReadonlyMap<string, Uint8Array>;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

const engine: Plugin = {
  name: "engine",
  setup: (building) =>
    building.onLoad({ filter: /machine\/engine\/host\/browser\.ts$/ }, () => ({
      contents: engineBytes,
      loader: "binary",
    })),
};

export async function bundleSite(system: {
  readonly kernel: string;
  readonly archive: string;
}): Promise<Site> {
  const web = join(REPOSITORY, "web");
  const { outputFiles } = await build({
    entryPoints: ["page", "worker"].map((name) => join(web, "src", `${name}.ts`)),
    outdir: web,
    bundle: true,
    plugins: [engine],
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  return new Map([
    ["index.html", readFileSync(join(web, "index.html"))],
    ...outputFiles.map(({ path, contents }): [string, Uint8Array] => [path.slice(web.length + 1), contents]),
    ["kernel.elf", readFileSync(system.kernel)],
    ["archive.img", readFileSync(system.archive)],
  ]);
}

/** Serves a site on the loopback. `port` 0 for any that is free. */
export async function serveSite(
  site: Site,
  port: number,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname.slice(1) || "index.html";
    const contents = site.get(path);
    response.writeHead(contents ? 200 : 404, {
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    });
    response.end(contents ?? `there is no ${path}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : port };
}
