/** The guest's console on a TCP socket of the loopback, for when the terminal belongs to somebody else. */
import { createServer, type Socket } from "node:net";
import type { InputListener, SessionInput, SessionOutput } from "./session.ts";

/** What a client gets that comes late: the end of what was written before. */
const LONGEST_BACKLOG = 64 * 1024;

export interface ConsoleSocket extends SessionInput, SessionOutput {
  readonly port: number;
}

/** One client at a time; a later one takes the console over. */
export async function openConsoleSocket(wanted: number): Promise<ConsoleSocket> {
  let client: Socket | undefined;
  let listener: InputListener | undefined;
  let backlog = Buffer.alloc(0);
  const server = createServer((socket) => {
    client?.destroy();
    client = socket;
    socket.write(backlog);
    socket.on("data", (bytes) => listener?.bytes(bytes));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      if (client === socket) client = undefined;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(wanted, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : wanted,
    start(given) {
      listener = given;
    },
    stop() {
      server.close();
    },
    write(bytes) {
      backlog = Buffer.concat([backlog, bytes]).subarray(-LONGEST_BACKLOG);
      client?.write(bytes);
    },
    flush: () =>
      new Promise((resolve) => {
        if (client) client.end(() => resolve());
        else resolve();
      }),
  };
}
