/** Servers and children that cases use. */

import { IEcho } from "../../interfaces/IEcho";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { expect, expectEqual } from "./check";

const SERVER: usize = text("suite.echo");
const PATIENCE: u32 = 2000;

/** An echo server that a case started: its program and its object. */
@unmanaged
export class Server {
  process: IProcess = changetype<IProcess>(0);
  echo: IEcho = changetype<IEcho>(0);

  /** Asks it to end, and waits until it has. */
  stop(): void {
    const word = stackAlloc(4);
    store<u32>(word, 0);
    this.echo.quit();
    this.echo.release();
    expectEqual(this.process.wait(word), S_OK, text("result of waiting for the server"));
    this.process.release();
  }
}

/** Starts an echo server at `place`; `server` is filled in. False if it did not come up. */
export function startServer(server: Server, place: u32): bool {
  return startServerAs(server, SERVER, place);
}

/** The same under another name. */
export function startServerAs(server: Server, name: usize, place: u32): bool {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().run(text("echo"), name, place, word), S_OK, text("result of run")))
    return false;
  server.process = changetype<IProcess>(load<usize>(word));
  const result = bindWaiting(name, IEcho.IID, PATIENCE, word);
  if (!expectEqual(result, S_OK, text("result of bind"))) return false;
  server.echo = changetype<IEcho>(load<usize>(word));
  return true;
}

/** Runs a program, in a process unless `place` says otherwise, and stores its exit code. */
export function runToEnd(name: usize, args: usize, code: usize, place: u32 = PLACE_PROCESS): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(name, args, place, word);
  if (result !== S_OK) return result;
  const process = changetype<IProcess>(load<usize>(word));
  const waited = process.wait(code);
  process.release();
  return waited;
}

/** Runs an abuse, in a process of its own unless `place` says otherwise, and expects its exit code. */
export function expectAbuse(args: usize, wanted: i32, place: u32 = PLACE_PROCESS): void {
  const code = stackAlloc(4);
  store<u32>(code, 0);
  if (expectEqual(runToEnd(text("abuse"), args, code, place), S_OK, text("result of run"))) {
    expectEqual(load<u32>(code), wanted, text("exit code"));
  }
}

/** The ring of code in the kernel: 1, or 0 with another trap design. */
export function kernelRing(): u32 {
  const address = stackAlloc(offsetof<ProcessInfo>());
  if (!expectEqual(systemObject().processInfo(0, address), S_OK, text("result of processInfo"))) return 3;
  const ring = changetype<ProcessInfo>(address).ring;
  expect(ring < 2, text("the kernel does not run at ring 0 or 1"));
  return ring;
}
