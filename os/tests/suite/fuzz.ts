/** Random calls from many processes, beside a bystander that must not notice. */

import { IEcho } from "../../interfaces/IEcho";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { expect, expectEqual, runCase } from "./check";
import { runToEnd } from "./servers";

/** 25 seeds of 2,000 calls, run twice by `runCase`: 100,000 calls. */
const SEEDS: u32 = 25;
const ARGUMENTS: usize = memory.data(32, 16);

/** "SEED 2000" for fuzzcalls. */
function writeArguments(seed: u32): void {
  let at = ARGUMENTS;
  if (seed >= 10) store<u8>(at++, <u8>(48 + seed / 10));
  store<u8>(at++, <u8>(48 + (seed % 10)));
  const rest = text(" 2000");
  memory.copy(at, rest, 6);
}

function randomCalls(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("echo"), text("fuzz.echo"), PLACE_PROCESS, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return;
  const bystander = changetype<IProcess>(load<usize>(word));
  if (!expectEqual(bindWaiting(text("fuzz.echo"), IEcho.IID, 2000, word), S_OK, text("result of bind")))
    return;
  const echo = changetype<IEcho>(load<usize>(word));
  for (let seed: u32 = 1; seed <= SEEDS; seed++) {
    writeArguments(seed);
    expectEqual(runToEnd(text("fuzzcalls"), ARGUMENTS, word), S_OK, text("result of run"));
    const code = <i32>load<u32>(word);
    expect(code <= 0, text("the random caller could not start"));
    expectEqual(echo.add(<i32>seed, 1, word), S_OK, text("result of the bystander"));
    expectEqual(load<u32>(word), seed + 1, text("the bystander's sum"));
  }
  echo.quit();
  echo.release();
  expectEqual(bystander.wait(word), S_OK, text("result of waiting for the bystander"));
  bystander.release();
}

export function fuzzCases(): void {
  runCase(text("random-calls"), functionAddress(randomCalls));
}
