/** `--net` and `--mac` of the commands that boot a machine; apart from what they do, so that help loads fast. */
import { UsageError } from "../errors.ts";

export const NET_FLAG = "--net <port>";
export const NET_HELP = "put a network card in, on the switch at this TCP port (see 'rialto network')";
export const MAC_FLAG = "--mac <address>";
export const MAC_HELP = "the card's address (default: 52:54:00:12:34:56)";

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
