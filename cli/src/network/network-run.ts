/** Runs the switch of `rialto network` until a signal ends it. */
import { FRAME_HEADER } from "@rialto/machine/network/frame.ts";
import { parsePort } from "../tcp-port.ts";
import { HostStation } from "./host-station.ts";
import { startSwitch } from "./network-switch.ts";

export interface NetworkRunOptions {
  readonly port: string;
  readonly hostServices?: boolean;
  readonly verbose?: boolean;
}

function address(frame: Uint8Array, offset: number): string {
  return Array.from(frame.subarray(offset, offset + 6), (byte) => byte.toString(16).padStart(2, "0")).join(
    ":",
  );
}

function describeFrame(from: string, frame: Uint8Array): string {
  if (frame.length < FRAME_HEADER) return `${from}: ${frame.length} bytes, which are no frame`;
  const type = ((frame[12]! << 8) | frame[13]!).toString(16).padStart(4, "0");
  return `${from}: ${address(frame, 6)} to ${address(frame, 0)}, type ${type}, ${frame.length} bytes`;
}

const say = (text: string) => process.stderr.write(`rialto: ${text}\n`);

export async function runNetwork(options: NetworkRunOptions): Promise<number> {
  const wanted = parsePort(options.port, "--port");
  let frames = 0;
  const running = await startSwitch(wanted, {
    note: say,
    frame: (from, frame) => {
      frames++;
      if (options.verbose) say(describeFrame(from, frame));
    },
  });
  say(`a switch on 127.0.0.1:${running.port}; Ctrl-C ends it`);
  const host = options.hostServices ? new HostStation(running.fabric) : undefined;
  const status = await new Promise<number>((resolve) => {
    process.once("SIGINT", () => resolve(130));
    process.once("SIGTERM", () => resolve(143));
  });
  host?.close();
  await running.close();
  say(`${frames} frames have passed`);
  return status;
}
