/**
 * A server with every kind of argument (IEcho), for tests and measurements: `echo [NAME [movable]]` registers as NAME, or as "echo".
 * Without NAME, or with `movable`, it can be moved while it runs; otherwise it cannot, and is called directly by who is collocated.
 */

import type { IEcho } from "../../interfaces/IEcho";
import type { IServiceState } from "../../interfaces/IServiceState";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { serveUntil, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { createEcho, stopWord } from "./echo";
import type { EchoState } from "./state";

export function main(argc: i32, argv: usize): i32 {
  const name: usize = argc > 1 ? load<usize>(argv, 4) : text("echo");
  const movable = argc < 2 || (argc > 2 && stringEquals(load<usize>(argv, 8), text("movable")));
  const echo = createEcho(0);
  const state = newObject<EchoState>();
  if (!echo || !state) return 1;
  const result: HRESULT = movable
    ? systemObject().registerService(name, interfaceOf<IEcho>(echo), interfaceOf<IServiceState>(state))
    : systemObject().register(name, interfaceOf<IEcho>(echo));
  if (result >= 0) {
    serveUntil(stopWord());
    systemObject().unregister(name);
  }
  state.release();
  echo.release();
  return min<i32>(result, S_OK);
}
