/** What `rialto network` does: an Ethernet switch on a TCP port of the loopback, a connection a cable. */
import { createServer, type Server, type Socket } from "node:net";
import { EthernetSwitch } from "@rialto/machine/network/ethernet-switch.ts";
import { listenError } from "../tcp-port.ts";
import { FrameDecoder, FrameStreamError, sendFrame } from "./frame-stream.ts";

export interface SwitchEvents {
  /** Something to tell the user. */
  note(text: string): void;
  /** A frame has come in from a cable. */
  frame?(from: string, frame: Uint8Array): void;
}

export interface RunningSwitch {
  readonly port: number;
  readonly fabric: EthernetSwitch;
  close(): Promise<void>;
}

function serve(fabric: EthernetSwitch, socket: Socket, name: string, events: SwitchEvents): void {
  const decoder = new FrameDecoder();
  let dropped = 0;
  const port = fabric.connect((frame) => {
    if (!sendFrame(socket, frame)) dropped++;
  });
  socket.setNoDelay(true);
  socket.on("error", () => {}); // "close" follows
  socket.on("data", (bytes) => {
    try {
      for (const frame of decoder.push(bytes)) {
        events.frame?.(name, frame);
        port.send(frame);
      }
    } catch (error) {
      if (!(error instanceof FrameStreamError)) throw error;
      events.note(`${name} is cut off: ${error.message}`);
      socket.destroy();
    }
  });
  socket.on("close", () => {
    port.disconnect();
    const lost = dropped > 0 ? `; it was too slow for ${dropped} frames` : "";
    events.note(`${name} has left${lost}`);
  });
  events.note(`${name} has joined`);
}

/** Listens on `wanted`, or on any free port for 0. Throws `UserError` when the port is taken. */
export async function startSwitch(wanted: number, events: SwitchEvents): Promise<RunningSwitch> {
  const fabric = new EthernetSwitch();
  const sockets = new Set<Socket>();
  let count = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    count++;
    serve(fabric, socket, `cable ${count}`, events);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, wanted, "--port")));
    server.listen(wanted, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : wanted,
    fabric,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
