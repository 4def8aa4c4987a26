/** What `--net` plugs in: a machine's cable to a switch (`rialto network`, or QEMU's stream and socket networks). */
import { createConnection, type Socket } from "node:net";
import type { NetworkOptions } from "@rialto/machine/boards/pentium-pc.ts";
import { isFrameLength } from "@rialto/machine/network/frame.ts";
import { UserError } from "../errors.ts";
import type { Session } from "../session.ts";
import { FrameDecoder, sendFrame } from "./frame-stream.ts";
import type { NetworkRequest } from "./network-flags.ts";

export interface NetworkLink {
  /** For the guest's frames. */
  send(frame: Uint8Array): void;
  /** `receive` gets the network's frames; `lost` says why the cable came off. */
  start(receive: (frame: Uint8Array) => void, lost: (reason: string) => void): void;
  close(): void;
}

function connect(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "ECONNREFUSED" ? "nobody listens there" : error.message;
      reject(
        new UserError(`--net ${port}: ${reason}; start a switch with 'rialto network --port ${port}'`, {
          cause: error,
        }),
      );
    });
  });
}

/** Joins the switch. Throws `UserError` when there is none. */
export async function openNetworkLink(port: number): Promise<NetworkLink> {
  const socket = await connect(port);
  socket.pause();
  return {
    send: (frame) => {
      sendFrame(socket, frame);
    },
    start(receive, lost) {
      const decoder = new FrameDecoder();
      socket.removeAllListeners("error");
      socket.on("error", () => {}); // "close" follows
      socket.on("close", () => lost(`the switch at port ${port} has gone`));
      socket.on("data", (bytes) => {
        try {
          for (const frame of decoder.push(bytes)) if (isFrameLength(frame.length)) receive(frame);
        } catch (error) {
          socket.destroy();
          lost(`the other end of port ${port} is no switch: ${(error as Error).message}`);
        }
      });
      socket.resume();
    },
    close() {
      socket.removeAllListeners("close");
      socket.end();
    },
  };
}

/** The card of a board on the link; in a replay there is none. A frame leaves once, also when a debugger goes back and sends it again. */
export function networkCard(
  { stationAddress }: NetworkRequest,
  link: NetworkLink | undefined,
  isNewOutput: () => boolean,
): NetworkOptions {
  return {
    output: (frame) => {
      if (isNewOutput()) link?.send(frame);
    },
    ...(stationAddress && { stationAddress }),
  };
}

/** Frames come into the session from now on; it waits for them. */
export function plugIn(link: NetworkLink, session: Session): void {
  const close = session.openSource();
  link.start(
    (frame) => session.networkInput(frame),
    (reason) => {
      process.stderr.write(`rialto: ${reason}; the machine goes on alone\n`);
      close();
    },
  );
}
