/**
 * Many calls of each kind, for measurements: to the kernel (ISystem) and to a server in a process (`echo`, started as
 * "callbench.echo"). Arguments: [rounds], 1000 unless given.
 */

import { IEcho } from "../../interfaces/IEcho";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { parseNumber } from "../../lib/rt/strings";

const SERVER: usize = text("callbench.echo");

export function main(argc: i32, argv: usize): i32 {
  const rounds = stackAlloc(4);
  store<u32>(rounds, 1000);
  if (argc > 2 || (argc === 2 && !parseNumber(load<usize>(argv, 4), rounds))) {
    print(text("usage: callbench [rounds]\n"));
    return 2;
  }
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = systemObject().run(text("echo"), SERVER, PLACE_PROCESS, word);
  if (result !== S_OK) return fail(result);
  const server = changetype<IProcess>(load<usize>(word));
  result = bindWaiting(SERVER, IEcho.IID, 1000, word);
  if (result !== S_OK) return fail(result);
  const echo = changetype<IEcho>(load<usize>(word));
  result = measure(echo, load<u32>(rounds));
  echo.quit();
  echo.release();
  server.wait(word);
  server.release();
  return result === S_OK ? 0 : fail(result);
}

function measure(echo: IEcho, rounds: u32): i32 {
  const wide = stackAlloc(16);
  const frequency = wide + 8;
  const system = systemObject();
  const first = timeStamp();
  for (let round: u32 = 0; round < rounds; round++) {
    const result = system.time(wide, frequency);
    if (result !== S_OK) return result;
  }
  const second = timeStamp();
  for (let round: u32 = 0; round < rounds; round++) {
    const result = echo.add(<i32>round, 1, wide);
    if (result !== S_OK) return result;
  }
  const third = timeStamp();
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("cycles a call: kernel "));
  out.wide((second - first) / rounds);
  out.text(text(", server in a process "));
  out.wide((third - second) / rounds);
  out.end();
  return S_OK;
}

function fail(result: i32): i32 {
  print(text("callbench: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}
