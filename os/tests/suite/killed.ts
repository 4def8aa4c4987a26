/**
 * Clients and servers killed in the middle of a call, wherever it is at the moment: its arguments on their way, its server at work, the server
 * calling back, its results on their way. The other side gets an error or goes on, and nothing is lost. All paths of calls: by trap (client
 * in a process, server in the kernel), marshalled (server in a process), direct through a door (both in the kernel).
 */

import { IEcho } from "../../interfaces/IEcho";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_CANCELLED, E_DISCONNECTED, S_OK } from "../../interfaces/results";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { sleep } from "../../lib/rt/wait";
import { expectEqual, runCase } from "./check";
import { expectNothingLeft, rememberLive } from "./live";

const NAME: usize = text("suite.carrying");
const PATIENCE: u32 = 2000;
/** Ms that a client needs to come to its first call; then it is killed at these times. */
const START: u32 = 8;
const TIMES: u32 = 2;
const STEP: u32 = 5;

let clientPlace: u32 = 0;
let serverPlace: u32 = 0;
let warm = false;

function start(name: usize, args: usize, place: u32): IProcess | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(name, args, place, word);
  return expectEqual(result, S_OK, text("result of run")) ? load<IProcess | null>(word) : null;
}

function finish(process: IProcess | null, wanted: i32): void {
  const word = stackAlloc(4);
  if (!process) return;
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), wanted, text("exit code"));
  process.release();
}

/** Only through a door can a program in the kernel go on calling a server there that has ended. */
function startServer(): IProcess | null {
  const direct = clientPlace === PLACE_KERNEL && serverPlace === PLACE_KERNEL;
  const server = start(text("echo"), direct ? text("suite.carrying movable") : NAME, serverPlace);
  const echo = bound();
  if (echo) echo.release();
  return server;
}

function bound(): IEcho | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = bindWaiting(NAME, IEcho.IID, PATIENCE, word);
  return expectEqual(result, S_OK, text("result of bind")) ? load<IEcho | null>(word) : null;
}

function killClient(args: usize, delay: u32): void {
  const client = start(text("abuse"), args, clientPlace);
  const echo = bound();
  sleep(START + delay);
  if (client) expectEqual(client.kill(), S_OK, text("result of killing the client"));
  finish(client, E_CANCELLED);
  if (!echo) return;
  expectEqual(echo.nothing(), S_OK, text("result of another client's call"));
  echo.release();
}

function killServer(args: usize, delay: u32): void {
  const server = startServer();
  const client = start(text("abuse"), args, clientPlace);
  sleep(START + delay);
  if (server) expectEqual(server.kill(), S_OK, text("result of killing the server"));
  finish(client, E_DISCONNECTED);
  finish(server, E_CANCELLED);
}

function clientsOf(args: usize): void {
  for (let time: u32 = 0; time < TIMES; time++) killClient(args, time * STEP);
}

function serversOf(args: usize): void {
  for (let time: u32 = 0; time < TIMES; time++) killServer(args, time * STEP);
}

/** In a process data is carried, in the kernel it is looked at where it is. */
function killClients(): void {
  rememberLive();
  const server = startServer();
  if (serverPlace === PLACE_PROCESS) {
    clientsOf(text("carry suite.carrying accept"));
    clientsOf(text("carry suite.carrying supply"));
  } else {
    clientsOf(text("carry suite.carrying sum"));
    clientsOf(text("carry suite.carrying fill"));
  }
  clientsOf(text("carry suite.carrying back"));
  const echo = bound();
  if (echo) {
    echo.quit();
    echo.release();
  }
  finish(server, 0);
  // A program in the kernel that is ended by force, in its own code, does not come to give its references back.
  const keeps = clientPlace === PLACE_KERNEL && serverPlace === PLACE_KERNEL;
  if (warm && !keeps) expectNothingLeft();
  warm = true;
}

function killServers(): void {
  rememberLive();
  if (serverPlace === PLACE_PROCESS) {
    serversOf(text("carry suite.carrying accept"));
    serversOf(text("carry suite.carrying supply"));
  } else {
    serversOf(text("carry suite.carrying sum"));
    serversOf(text("carry suite.carrying fill"));
  }
  serversOf(text("carry suite.carrying back"));
  if (warm) expectNothingLeft();
  warm = true;
}

function caseOf(name: usize, run: usize, client: u32, server: u32): void {
  clientPlace = client;
  serverPlace = server;
  warm = false;
  runCase(name, run);
}

export function killedCases(): void {
  const clients = functionAddress(killClients);
  const servers = functionAddress(killServers);
  caseOf(text("client-killed-in-a-trap"), clients, PLACE_PROCESS, PLACE_KERNEL);
  caseOf(text("server-killed-in-a-trap"), servers, PLACE_PROCESS, PLACE_KERNEL);
  caseOf(text("client-killed-in-a-marshalled-call"), clients, PLACE_PROCESS, PLACE_PROCESS);
  caseOf(text("server-killed-in-a-marshalled-call"), servers, PLACE_PROCESS, PLACE_PROCESS);
  caseOf(text("client-in-the-kernel-killed-in-a-marshalled-call"), clients, PLACE_KERNEL, PLACE_PROCESS);
  caseOf(text("server-killed-in-a-call-from-the-kernel"), servers, PLACE_KERNEL, PLACE_PROCESS);
  caseOf(text("client-killed-in-a-direct-call"), clients, PLACE_KERNEL, PLACE_KERNEL);
  caseOf(text("server-killed-in-a-direct-call"), servers, PLACE_KERNEL, PLACE_KERNEL);
}
