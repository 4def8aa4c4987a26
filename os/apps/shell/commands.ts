/** The table of commands, and finding one. Every command takes its words and returns a status, 0 for success. */

import type { HRESULT } from "../../interfaces/types";
import { flushConsole, makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { editDistance, parseNumber, stringEquals } from "../../lib/rt/strings";
import { memoryCommand, modulesCommand, namesCommand, processesCommand } from "./lists";
import { killCommand, placeCommand, runCommand, startCommand, stopCommand } from "./programs";
import { stacksCommand } from "./stacks";

const MOST_WORDS: u32 = 32;
/** Status of a line that was not understood. */
const USAGE: i32 = 2;

/** One command: its name, how it is used, what it does, its function, and how many words it may have. */
@unmanaged
class Command {
  name: usize = 0;
  usage: usize = 0;
  purpose: usize = 0;
  run: usize = 0;
  least: u32 = 0;
  most: u32 = 0;
}
const COMMANDS: u32 = 13;
const table: usize = memory.data(312, 16);
let filled: u32 = 0;

function add(name: usize, usage: usize, purpose: usize, run: usize, least: u32, most: u32): void {
  const command = commandAt(filled++);
  command.name = name;
  command.usage = usage;
  command.purpose = purpose;
  command.run = run;
  command.least = least;
  command.most = most;
}

function commandAt(index: u32): Command {
  return changetype<Command>(table + index * offsetof<Command>());
}

function fillTable(): void {
  add(
    text("run"),
    text("run [-k] NAME [arguments]"),
    text("run a program in a process, or with -k in the kernel"),
    functionAddress(runCommand),
    2,
    MOST_WORDS,
  );
  add(
    text("start"),
    text("start [-k] NAME [arguments]"),
    text("start a service and leave it running"),
    functionAddress(startCommand),
    2,
    MOST_WORDS,
  );
  add(
    text("stop"),
    text("stop NAME"),
    text("end the programs of that name"),
    functionAddress(stopCommand),
    2,
    2,
  );
  add(
    text("place"),
    text("place SERVICE kernel|process"),
    text("move a service while it runs"),
    functionAddress(placeCommand),
    3,
    3,
  );
  add(text("kill"), text("kill ID"), text("end a process"), functionAddress(killCommand), 2, 2);
  add(text("ps"), text("ps"), text("list the processes"), functionAddress(processesCommand), 1, 1);
  add(text("mem"), text("mem"), text("show what memory is used for"), functionAddress(memoryCommand), 1, 1);
  add(
    text("stacks"),
    text("stacks"),
    text("show how many pages stacks take"),
    functionAddress(stacksCommand),
    1,
    1,
  );
  add(
    text("modules"),
    text("modules"),
    text("list the images loaded in every space"),
    functionAddress(modulesCommand),
    1,
    1,
  );
  add(text("names"), text("names"), text("list the registered objects"), functionAddress(namesCommand), 1, 1);
  add(
    text("mark"),
    text("mark NUMBER"),
    text("mark a phase of a measurement"),
    functionAddress(markCommand),
    2,
    2,
  );
  add(text("help"), text("help"), text("show this list"), functionAddress(helpCommand), 1, 1);
  add(
    text("poweroff"),
    text("poweroff [STATUS]"),
    text("end the machine"),
    functionAddress(powerOffCommand),
    1,
    2,
  );
}

/** Runs one line; it is cut into words in place. An empty line or a comment (#) succeeds. */
export function runLine(line: usize): i32 {
  if (filled === 0) fillTable();
  const words = stackAlloc((MOST_WORDS + 1) * 4);
  const count = splitLine(line, words);
  if (count === 0 || load<u8>(load<usize>(words)) === 35) return 0;
  if (count > MOST_WORDS) {
    print(text("too many words\n"));
    return USAGE;
  }
  const name = load<usize>(words);
  for (let index: u32 = 0; index < COMMANDS; index++) {
    const command = commandAt(index);
    if (!stringEquals(name, command.name)) continue;
    if (count < command.least || count > command.most) {
      print(text("usage: "));
      print(command.usage);
      print(text("\n"));
      return USAGE;
    }
    return call_indirect<i32>(<u32>command.run, count, words);
  }
  unknownCommand(name);
  return USAGE;
}

function unknownCommand(name: usize): void {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("unknown command: "));
  out.text(name);
  let best: u32 = 4;
  let nearest: usize = 0;
  for (let index: u32 = 0; index < COMMANDS; index++) {
    const distance = editDistance(name, commandAt(index).name);
    if (distance < best) {
      best = distance;
      nearest = commandAt(index).name;
    }
  }
  if (nearest !== 0) {
    out.text(text(". Did you mean "));
    out.text(nearest);
    out.text(text("?"));
  } else {
    out.text(text(". Type help for the commands."));
  }
  out.end();
}

function splitLine(line: usize, words: usize): u32 {
  let count: u32 = 0;
  let at = line;
  while (true) {
    while (load<u8>(at) === 32 || load<u8>(at) === 9) at++;
    if (load<u8>(at) === 0) return count;
    if (count === MOST_WORDS) return count + 1;
    store<u32>(words + count * 4, <u32>at);
    count++;
    while (load<u8>(at) > 32) at++;
    if (load<u8>(at) === 0) return count;
    store<u8>(at, 0);
    at++;
  }
}

function helpCommand(_count: u32, _words: usize): i32 {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  for (let index: u32 = 0; index < COMMANDS; index++) {
    const command = commandAt(index);
    out.column(command.usage, 30);
    out.text(command.purpose);
    out.end();
  }
  return 0;
}

function markCommand(_count: u32, words: usize): i32 {
  const phase = stackAlloc(4);
  if (!parseNumber(load<usize>(words, 4), phase)) {
    print(text("the phase must be a number\n"));
    return USAGE;
  }
  return systemObject().markPhase(load<u32>(phase)) === 0 ? 0 : 1;
}

/** Ends the run when the console has shown everything. */
export function shutDown(status: u32): HRESULT {
  flushConsole();
  return systemObject().powerOff(status);
}

function powerOffCommand(count: u32, words: usize): i32 {
  const status = stackAlloc(4);
  store<u32>(status, 0);
  if (count === 2 && !parseNumber(load<usize>(words, 4), status)) {
    print(text("the status must be a number\n"));
    return USAGE;
  }
  const result = shutDown(load<u32>(status));
  print(describeResult(result));
  return 1;
}
