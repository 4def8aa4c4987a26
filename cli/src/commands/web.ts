/** `rialto web`: the page that boots the system in a browser, served or written to a folder. */
import type { Command } from "commander";

interface WebFlags {
  readonly port: string;
  readonly out?: string;
}

export function register(program: Command): void {
  program
    .command("web")
    .description("serve the page that boots the system in a browser")
    .option("--port <port>", "TCP port of the loopback; 0: any that is free", "8080")
    .option("--out <folder>", "write the page's files there instead, for any static server")
    .action(async (flags: WebFlags) => {
      const { mkdirSync, writeFileSync } = await import("node:fs");
      const { join } = await import("node:path");
      const { buildSystemReporting } = await import("../build-system.ts");
      const { fileErrorReason, UserError } = await import("../errors.ts");
      const { listenError, parsePort } = await import("../tcp-port.ts");
      const { bundleSite, serveSite } = await import("../web-site.ts");
      const port = parsePort(flags.port, "--port");
      const site = await bundleSite(await buildSystemReporting());
      if (flags.out !== undefined) {
        try {
          mkdirSync(flags.out, { recursive: true });
          for (const [name, contents] of site) writeFileSync(join(flags.out, name), contents);
        } catch (error) {
          throw new UserError(`cannot write the page to ${flags.out}: ${fileErrorReason(error)}`, {
            cause: error,
          });
        }
        process.stdout.write(`${[...site.keys()].map((name) => join(flags.out ?? "", name)).join("\n")}\n`);
        return;
      }
      try {
        const served = await serveSite(site, port);
        process.stderr.write(`rialto: http://127.0.0.1:${served.port}/ (Ctrl-C ends it)\n`);
      } catch (error) {
        throw listenError(error, port, "--port");
      }
    });
}
