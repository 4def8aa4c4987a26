/** The session on a TCP socket of the loopback: one GDB at a time, others are turned away. */
import { createServer, type Server, type Socket } from "node:net";
import type { PentiumTarget } from "../pentium-target.ts";
import { GdbSession } from "../session.ts";

export interface GdbServerOptions {
  readonly target: PentiumTarget;
  /** 0 for any that is free. */
  readonly port: number;
  /** GDB came, or left. */
  readonly onAttach?: () => void;
  readonly onDetach?: () => void;
}

export interface GdbServer {
  readonly port: number;
  /** Whether the last GDB has seen everything that was sent to it. */
  close(): Promise<void>;
}

export async function serveGdb(options: GdbServerOptions): Promise<GdbServer> {
  let client: Socket | undefined;
  const server: Server = createServer((socket) => {
    if (client) {
      socket.destroy();
      return;
    }
    client = socket;
    socket.setNoDelay(true);
    options.target.hold();
    options.onAttach?.();
    const session = new GdbSession(options.target, {
      send: (bytes) => {
        if (socket.writable) socket.write(bytes);
      },
      ended: () => socket.end(),
    });
    socket.on("data", (data) => session.receive(data));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      client = undefined;
      session.closed();
      options.onDetach?.();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if (!client) return;
        // What was sent last, the guest's end, is to arrive; a GDB that does not hang up then is hung up on.
        const last = client;
        last.end();
        setTimeout(() => last.destroy(), 200).unref();
      }),
  };
}
