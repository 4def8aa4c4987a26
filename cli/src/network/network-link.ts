/** `--net` and `--mac` of the commands that boot a machine: its cable to a switch (`rialto network`, or QEMU's stream and socket networks). */
import { createConnection, type Socket } from "node:net";
import { isFrameLength } from "@rialto/machine/network/frame.ts";
import { UsageError, UserError } from "../errors.ts";
import { FrameDecoder, sendFrame } from "./frame-stream.ts";

export interface NetworkFlags {
  /** TCP port of the switch, on the loopback. */
  readonly net?: string;
  /** The card's address. */
  readonly mac?: string;
}

export interface NetworkRequest {
  readonly port: number;
  readonly stationAddress: readonly number[] | undefined;
}

const STATION = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

function parseStation(text: string): number[] {
  if (!STATION.test(text))
    throw new UsageError(`--mac ${text}: it takes six bytes, for example 52:54:00:12:34:57`);
  const bytes = text.split(":").map((byte) => Number.parseInt(byte, 16));
  if (bytes[0]! & 1)
    throw new UsageError(`--mac ${text}: that is the address of a group, since its first byte is odd`);
  return bytes;
}

/** Undefined without a network. */
export function parseNetworkFlags({ net, mac }: NetworkFlags): NetworkRequest | undefined {
  if (net === undefined) {
    if (mac !== undefined) throw new UsageError("--mac without --net: there is no network card to name");
    return undefined;
  }
  const port = Number(net);
  if (!/^\d+$/.test(net) || port < 1 || port > 65535)
    throw new UsageError(
      `--net ${net}: it takes the TCP port of a switch, 1 to 65535 (see 'rialto network')`,
    );
  return { port, stationAddress: mac === undefined ? undefined : parseStation(mac) };
}

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
