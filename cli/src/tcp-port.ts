/** TCP ports of the loopback, as flags name them. */
import { UsageError, UserError } from "./errors.ts";

export function parsePort(text: string, flag: string): number;
export function parsePort(text: string | undefined, flag: string): number | undefined;
export function parsePort(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535)
    throw new UsageError(`${flag} ${text}: it takes a TCP port, 0 to 65535 (0: any that is free)`);
  return port;
}

/** Why a port cannot be listened on. */
export function listenError(error: unknown, port: number, flag: string): UserError {
  const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  const reason = taken ? "somebody listens on that port already; take another one, or 0" : String(error);
  return new UserError(`cannot listen on 127.0.0.1:${port} (${flag}): ${reason}`, { cause: error });
}
