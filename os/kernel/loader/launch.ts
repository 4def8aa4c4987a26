/**
 * Starting a program: process, images, StartBlock (drawn in os/README.md), first thread at rt!startProgram.
 *
 * Libraries in the kernel have data that all programs there share, so a second program must not run before the first one has
 * initialised them (initialisers.ts): the kernel puts `librariesReady` behind their initialisers in the StartBlock.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import {
  E_BADIMAGE,
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_NOSYMBOL,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { THREAD_ID_WORD } from "../calls/proxies";
import { copyToSpace } from "../memory/copy";
import { allocate, free } from "../memory/heap";
import { REGION_ANONYMOUS } from "../memory/regions";
import { mapRegion } from "../memory/space";
import { createProcess, enterProcess, NAME_LIMIT, type Process } from "../objects/process";
import { reap } from "../objects/reaper";
import { servicesPointer } from "../objects/services";
import { copyText, isName, textLength } from "../objects/texts";
import { startProcessThread } from "../objects/threads";
import { currentIdAddress } from "../threads/scheduler";
import { currentThread, PRIORITY_DEFAULT } from "../threads/thread";
import { type ImageFile, SIZE_LIMIT } from "./elf";
import { archiveImage, dropFile, privateImage } from "./image-files";
import { exportAddress, loadedLibrary, lockLoader, programImage, unlockLoader } from "./images";
import {
  beginInitialising,
  endInitialising,
  lockLoaderFor,
  markInitialised,
  startInitialisers,
} from "./initialisers";
import { loadProgram } from "./loading";

const ARGUMENT_LIMIT: u32 = 2047;
const BLOCK_HEADER: u32 = 20;

/** Runs on the first thread of a program in the kernel, when the libraries that came with it are initialised. */
function librariesReady(): void {
  endInitialising(changetype<Process>(currentThread().process), true);
}

/**
 * Starts program `name` of the boot archive at `place`. `out` gets the process with a reference. The strings may be a process's.
 * E_NOTFOUND, E_BADIMAGE, E_NOLIBRARY, E_NOSYMBOL, E_CYCLE, E_VERSION, E_OUTOFMEMORY, E_INVALIDARG, E_CANCELLED.
 */
export function launch(name: usize, args: usize, place: u32, out: usize): HRESULT {
  return launchFile(name, 0, 0, args, place, out);
}

/** Starts another instance of a running service's program, with the same image and arguments, to take the service over (objects/moving.ts). */
export function launchSuccessor(old: Process, place: u32, out: usize): HRESULT {
  return start(old.name, 0, 0, old.args, place, old, out);
}

/** The same for an image of `size` bytes at `bytes`, which is copied first: its owner can change it at any time. */
export function launchImage(
  name: usize,
  bytes: usize,
  size: u32,
  args: usize,
  place: u32,
  out: usize,
): HRESULT {
  if (size > SIZE_LIMIT) return E_BADIMAGE;
  const copy = allocate((size + 4095) & ~4095);
  if (copy === 0) return E_OUTOFMEMORY;
  memory.copy(copy, bytes, size);
  return launchFile(name, copy, size, args, place, out);
}

function launchFile(name: usize, bytes: usize, size: u32, args: usize, place: u32, out: usize): HRESULT {
  const ownName = copyText(name, NAME_LIMIT + 1);
  const ownArguments = copyText(args, ARGUMENT_LIMIT + 1);
  let result: HRESULT = S_OK;
  if (ownName === 0 || ownArguments === 0) result = E_OUTOFMEMORY;
  else if (place !== PLACE_KERNEL && place !== PLACE_PROCESS) result = E_INVALIDARG;
  else if (!isName(ownName, NAME_LIMIT)) result = E_INVALIDARG;
  else if (textLength(ownArguments, ARGUMENT_LIMIT + 1) > ARGUMENT_LIMIT) result = E_INVALIDARG;
  if (result < 0) {
    if (bytes !== 0) free(bytes);
  } else result = start(ownName, bytes, size, ownArguments, place, null, out);
  if (ownName !== 0) free(ownName);
  if (ownArguments !== 0) free(ownArguments);
  return result;
}

/** Where a program's first thread starts. */
@unmanaged
class Start {
  entry: usize = 0;
  argument: usize = 0;
}

/** With `old` the image is that program's, and the new one is to take over its service. */
function start(
  name: usize,
  bytes: usize,
  size: u32,
  args: usize,
  place: u32,
  old: Process | null,
  out: usize,
): HRESULT {
  const process = createProcess(name, place === PLACE_PROCESS);
  if (!process) {
    if (bytes !== 0) free(bytes);
    return E_OUTOFMEMORY;
  }
  const first = changetype<Start>(stackAlloc(offsetof<Start>()));
  process.starter = changetype<Process>(currentThread().process).id;
  process.isSuccessor = old ? 1 : 0;
  process.args = copyText(args, ARGUMENT_LIMIT);
  let result = loadImages(process, name, bytes, size, old);
  if (process.args === 0) result = E_OUTOFMEMORY;
  if (result >= 0) result = prepareStart(process, name, args, first);
  enterProcess(process);
  if (result >= 0) {
    result = startProcessThread(process, first.entry, first.argument, PRIORITY_DEFAULT, false, 0);
  }
  if (result < 0) {
    reap(process);
    process.release();
    return result;
  }
  store<usize>(out, changetype<usize>(process));
  return S_OK;
}

/** Loads the program's image, from the archive or from the copy at `bytes` or that of a running program, and its libraries, which it is to initialise. */
function loadImages(process: Process, name: usize, bytes: usize, size: u32, old: Process | null): HRESULT {
  const word = stackAlloc(4);
  if (!lockLoaderFor(process)) {
    if (bytes !== 0) free(bytes);
    return E_CANCELLED;
  }
  const file = imageFile(name, bytes, size, old, word);
  let result: HRESULT = load<i32>(word);
  if (file) {
    result = file.entry === 0 ? E_BADIMAGE : loadProgram(process, file);
    if (result >= 0 && !process.ownSpace) beginInitialising(process);
    dropFile(file);
  }
  unlockLoader();
  return result;
}

/** Null with the reason in `result`. The loader is locked. */
function imageFile(
  name: usize,
  bytes: usize,
  size: u32,
  old: Process | null,
  result: usize,
): ImageFile | null {
  if (old) {
    const image = programImage(old);
    store<i32>(result, image ? S_OK : E_DISCONNECTED);
    return image ? image.file : null;
  }
  return bytes !== 0 ? privateImage(name, bytes, size, result) : archiveImage(text("bin/"), name, result);
}

/**
 *  StartBlock: +0 ISystem  +4 main  +8 argument string  +12 number of initialisers  +16 word of the running thread's id  +20 their addresses …, then the string.
 */
function prepareStart(process: Process, name: usize, args: usize, first: Start): HRESULT {
  const system = servicesPointer(process);
  if (system === 0) return E_OUTOFMEMORY;
  const barrier = process.ownSpace ? 0 : functionAddress(librariesReady);
  lockLoader();
  const count = startInitialisers(process, 0, barrier);
  const header = BLOCK_HEADER + (count << 2);
  const nameLength = textLength(name, NAME_LIMIT);
  const argumentsLength = textLength(args, ARGUMENT_LIMIT);
  const size = header + nameLength + argumentsLength + 2;
  const block = allocate(size);
  if (block !== 0) {
    startInitialisers(process, block + BLOCK_HEADER, barrier);
    if (process.ownSpace) markInitialised(process.space);
    const image = programImage(process)!;
    store<usize>(block, image.file.entry + image.shift, 4);
    first.entry = exportAddress(loadedLibrary(process.space, text("rt"))!, text("startProgram"));
  }
  unlockLoader();
  if (block === 0) return E_OUTOFMEMORY;
  store<u32>(block, system);
  store<u32>(block, count, 12);
  store<u32>(block, <u32>(process.ownSpace ? THREAD_ID_WORD : currentIdAddress()), 16);
  memory.copy(block + header, name, nameLength);
  if (argumentsLength !== 0) {
    store<u8>(block + header + nameLength, 32);
    memory.copy(block + header + nameLength + 1, args, argumentsLength);
  }
  if (first.entry === 0) {
    free(block);
    return E_NOSYMBOL;
  }
  return process.ownSpace
    ? placeBlock(process, block, size, header, first)
    : keepBlock(process, block, header, first);
}

/** A program in the kernel gets the block itself. */
function keepBlock(process: Process, block: usize, header: u32, first: Start): HRESULT {
  store<usize>(block, block + header, 8);
  process.startBlock = block;
  first.argument = block;
  return S_OK;
}

/** A process gets a copy in its space. */
function placeBlock(process: Process, block: usize, size: u32, header: u32, first: Start): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  let result = mapRegion(process.space, address, size, PROTECT_READ | PROTECT_WRITE, REGION_ANONYMOUS, 0, 0);
  if (result >= 0) {
    first.argument = load<u32>(address);
    store<usize>(block, first.argument + header, 8);
    if (copyToSpace(process.space, first.argument, block, size) < 0) result = E_OUTOFMEMORY;
  }
  free(block);
  return result;
}
