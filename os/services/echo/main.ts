/** A server with every kind of argument (IEcho), for tests and measurements. Registers as its first argument, or as "echo". */

import type { IEcho } from "../../interfaces/IEcho";
import { S_OK } from "../../interfaces/results";
import { serveUntil, systemObject } from "../../lib/rt/program";
import { type Echo, stopWord } from "./echo";

export function main(argc: i32, argv: usize): i32 {
  const name: usize = argc > 1 ? load<usize>(argv, 4) : text("echo");
  const echo = newObject<Echo>();
  if (!echo) return 1;
  const result = systemObject().register(name, interfaceOf<IEcho>(echo));
  if (result !== S_OK) return result;
  serveUntil(stopWord());
  systemObject().unregister(name);
  echo.release();
  return 0;
}
