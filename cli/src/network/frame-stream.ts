/**
 * Ethernet frames on a TCP stream, as QEMU's `-netdev stream` and `-netdev socket` carry them: each with its length before it, four bytes,
 * the most significant first.
 */
import type { Socket } from "node:net";

const LENGTH_BYTES = 4;
/** No Ethernet frame is near it: a stream that announces more carries something else. */
const LONGEST = 65_536;
/** Bytes that may wait in a socket whose reader is slow, before frames are dropped as a full switch drops them. */
const BACKLOG = 4 * 2 ** 20;

/** The stream carries no frames. */
export class FrameStreamError extends Error {
  constructor(length: number) {
    super(`it announces a frame of ${length} bytes, so it carries no Ethernet frames`);
    this.name = "FrameStreamError";
  }
}

export class FrameDecoder {
  #rest = Buffer.alloc(0);

  /** The frames that the bytes complete. Throws `FrameStreamError`. */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames: Uint8Array[] = [];
    while (this.#rest.length >= LENGTH_BYTES) {
      const length = this.#rest.readUInt32BE(0);
      if (length > LONGEST) throw new FrameStreamError(length);
      if (this.#rest.length < LENGTH_BYTES + length) break;
      frames.push(Uint8Array.from(this.#rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length)));
      this.#rest = this.#rest.subarray(LENGTH_BYTES + length);
    }
    return frames;
  }
}

/** Sends a frame; false when the reader is too slow and the frame is lost. */
export function sendFrame(socket: Socket, frame: Uint8Array): boolean {
  if (socket.destroyed || socket.writableLength > BACKLOG) return false;
  const bytes = Buffer.alloc(LENGTH_BYTES + frame.length);
  bytes.writeUInt32BE(frame.length, 0);
  bytes.set(frame, LENGTH_BYTES);
  socket.write(bytes);
  return true;
}
