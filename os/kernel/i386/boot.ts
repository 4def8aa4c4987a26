/**
 * Start of the kernel at ring 0: what the multiboot loader left, the tables, memory, the first threads.
 *
 * The loader's structures may lie in memory that becomes free, so they are copied first.
 */

import { print, printNumber } from "../console";
import { panic } from "../epitaph";
import {
  addFrames,
  createFrameTable,
  freeFrames,
  OWNER_BOOT_ARCHIVE,
  OWNER_FREE,
  OWNER_KERNEL_IMAGE,
} from "../memory/frames";
import { createScratchPage } from "../memory/scratch";
import { initialiseKernelSpace, kernelSpace } from "../memory/space";
import { createHelper } from "../threads/helper";
import { chooseChecks } from "../threads/probe-check";
import { initialiseScheduler, startWith } from "../threads/scheduler";
import { chooseStackPolicy } from "../threads/stack-policy";
import { createThread, PRIORITY_DEFAULT, prepareThreadRecords, startThread } from "../threads/thread";
import { startSystem } from "../upper";
import { startClock } from "./clock";
import { chooseTrapDesign, kernelRing } from "./design";
import { startInterrupts } from "./interrupts";
import { PAGE, WINDOW_START } from "./layout";
import { buildFirstDirectory, endFirstMapping } from "./paging";
import { buildDescriptorTable, loadTables } from "./processor";
import { makeTasks } from "./tasks";
import { configureVtlb } from "./vtlb";

declare function kernelEndAddress(): usize;
declare function resumeCurrent(): void;
declare function resumeCurrentAtRing0(): void;

const MULTIBOOT_MAGIC: u32 = 0x2badb002;
/** Bits of the information structure's flags word. */
const HAS_MEMORY: u32 = 1;
const HAS_COMMAND_LINE: u32 = 4;
const HAS_MODULES: u32 = 8;

const MODULES: u32 = 4;
const STRING: usize = 1024;
/** Fewer free frames than this after start cannot hold a process. */
const LEAST_FRAMES: u32 = 128;

const commandLine: usize = memory.data(1024, 16);
/** { start, end, command line } by module. */
const modules: usize = memory.data(48, 16);
const moduleStrings: usize = memory.data(4096, 16);
let moduleCount: u32 = 0;
let memoryEnd: u32 = 0;
let lowMemoryEnd: u32 = 0;

/** Before paging: returns the physical address of the page directory. */
export function prepareBoot(magic: u32, information: u32): u32 {
  if (magic === MULTIBOOT_MAGIC) readInformation(WINDOW_START + information);
  buildDescriptorTable();
  return buildFirstDirectory();
}

function copyString(to: usize, from: u32): void {
  const source = WINDOW_START + from;
  let length: usize = 0;
  while (length < STRING - 1 && load<u8>(source + length) !== 0) {
    store<u8>(to + length, load<u8>(source + length));
    length++;
  }
  store<u8>(to + length, 0);
}

function readInformation(information: usize): void {
  const flags = load<u32>(information);
  if (flags & HAS_MEMORY) {
    lowMemoryEnd = load<u32>(information, 4) << 10;
    memoryEnd = 0x100000 + (load<u32>(information, 8) << 10);
  }
  if (flags & HAS_COMMAND_LINE) copyString(commandLine, load<u32>(information, 16));
  if ((flags & HAS_MODULES) === 0) return;
  moduleCount = load<u32>(information, 20);
  if (moduleCount > MODULES) moduleCount = MODULES;
  const list = WINDOW_START + load<u32>(information, 24);
  for (let index: u32 = 0; index < moduleCount; index++) {
    const from = list + index * 16;
    const to = modules + index * 12;
    store<u32>(to, load<u32>(from) + <u32>WINDOW_START);
    store<u32>(to, load<u32>(from, 4) + <u32>WINDOW_START, 4);
    const name = moduleStrings + index * STRING;
    copyString(name, load<u32>(from, 8));
    store<u32>(to, <u32>name, 8);
  }
}

/** With paging, on the ring 0 stack: does not return. */
export function bootMain(): void {
  if (memoryEnd === 0) panic(text("not started by a multiboot loader that tells the size of memory"));
  endFirstMapping();
  chooseTrapDesign(commandLine);
  chooseStackPolicy(commandLine);
  chooseChecks(commandLine);
  loadTables();
  makeTasks();
  addMemory();
  if (freeFrames() < LEAST_FRAMES) outOfMemory();
  configureVtlb(commandLine);
  initialiseKernelSpace();
  prepareThreadRecords();
  initialiseScheduler();
  createScratchPage();
  startInterrupts();
  startClock();
  if (!createHelper()) outOfMemory();
  const first = createThread(kernelSpace(), 0, functionAddress(firstThread), 0, PRIORITY_DEFAULT);
  if (!first) outOfMemory();
  startThread(first!);
  startWith(first!);
  if (kernelRing() === 0) resumeCurrentAtRing0();
  else resumeCurrent();
}

function addMemory(): void {
  let top = kernelEndAddress();
  for (let index: u32 = 0; index < moduleCount; index++) {
    const end: usize = load<u32>(modules + index * 12, 4);
    if (end > top) top = end;
  }
  const table = (top + PAGE - 1) & ~(PAGE - 1);
  if (table - WINDOW_START + 0x10000 > memoryEnd) outOfMemory();
  const after = createFrameTable(memoryEnd, table);
  for (let index: u32 = 0; index < moduleCount; index++) {
    const module = modules + index * 12;
    const end = load<u32>(module, 4) - <u32>WINDOW_START + <u32>PAGE - 1;
    addFrames(load<u32>(module) - <u32>WINDOW_START, end, OWNER_BOOT_ARCHIVE);
  }
  addFrames(0x100000, <u32>(kernelEndAddress() - WINDOW_START + PAGE - 1), OWNER_KERNEL_IMAGE);
  addFrames(<u32>(table - WINDOW_START), <u32>(after - WINDOW_START), OWNER_KERNEL_IMAGE);
  addFrames(<u32>PAGE, lowMemoryEnd, OWNER_FREE);
  addFrames(0x100000, memoryEnd, OWNER_FREE);
}

function outOfMemory(): void {
  print(text("Rialto does not fit into this machine's memory of "));
  printNumber(memoryEnd >> 10);
  panic(text(" KB: give it more"));
}

function firstThread(_argument: usize): void {
  startSystem(commandLine, modules, moduleCount);
}
