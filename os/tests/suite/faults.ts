/** Faults that programs handle themselves, or decline; the same program in a process and in the kernel. */

import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_FAIL, E_POINTER, S_OK } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";
import { expectEqual, runCase } from "./check";

function expectExit(args: usize, place: u32, wanted: i32): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), args, place, word);
  if (!expectEqual(result, S_OK, text("result of run"))) return;
  const process = changetype<IProcess>(load<usize>(word));
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), wanted, text("exit code"));
  process.release();
}

function expectBoth(args: usize, wanted: i32): void {
  expectExit(args, PLACE_PROCESS, wanted);
  expectExit(args, PLACE_KERNEL, wanted);
}

function repaired(): void {
  expectBoth(text("handle-repair"), 0);
}

function unwound(): void {
  expectBoth(text("handle-unwind"), 0);
}

function declined(): void {
  expectBoth(text("handle-decline"), E_POINTER);
}

/** A fault in the handler is one that nobody handles. */
function stumbled(): void {
  expectBoth(text("handle-stumble"), E_FAIL);
}

function badPointer(): void {
  expectExit(text("handle-pointer"), PLACE_PROCESS, 0);
}

function readOnlyPage(): void {
  expectExit(text("handle-read-only"), PLACE_PROCESS, 0);
}

export function faultCases(): void {
  runCase(text("fault-repaired-by-its-handler"), functionAddress(repaired));
  runCase(text("fault-unwound-by-its-handler"), functionAddress(unwound));
  runCase(text("fault-declined-by-its-handler"), functionAddress(declined));
  runCase(text("fault-in-the-handler"), functionAddress(stumbled));
  runCase(text("fault-of-a-bad-pointer-handled"), functionAddress(badPointer));
  runCase(text("fault-of-a-read-only-page-handled"), functionAddress(readOnlyPage));
}
