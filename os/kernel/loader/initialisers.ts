/**
 * Initialisers of libraries run in their space, on a thread of the program for which they were loaded: the kernel never calls them. Until
 * they have run, nobody else may load into that space, because he would find libraries that do not work yet. So a space's process
 * names the program that is initialising; others wait, but not for ever: a program that does not come to it loses its turn, and the next one
 * initialises what is still fresh.
 */

import type { Space } from "../memory/space";
import { kernelProcess, type Process } from "../objects/process";
import { WAIT_CANCELLED, WAIT_TIMED_OUT, waitOn, wake } from "../threads/wait";
import { IMAGE_LIBRARY, imagesIn, type LoadedImage, lockLoader, programImage, unlockLoader } from "./images";

/** Longest time in ms that one program's libraries may take to initialise before others load anyway. */
const INITIALISE_TIMEOUT: u32 = 1000;

/** The word of a program's space that says who is initialising. */
function initialisingWord(program: Process): usize {
  const owner = program.ownSpace ? program : kernelProcess();
  return changetype<usize>(owner) + offsetof<Process>("initialising");
}

/** Locks the loader when nobody is initialising libraries of the program's space. False, and not locked, for a cancelled thread. */
export function lockLoaderFor(program: Process): bool {
  const word = initialisingWord(program);
  while (true) {
    lockLoader();
    const who = volatileLoad32(word);
    if (who === 0) return true;
    unlockLoader();
    const result = waitOn(word, who, INITIALISE_TIMEOUT);
    if (result === WAIT_CANCELLED) return false;
    if (result === WAIT_TIMED_OUT) atomicCompareExchange(word, who, 0);
  }
}

/** If there are libraries to initialise in the program's space, its thread is about to do so. The loader is locked. */
export function beginInitialising(program: Process): void {
  if (freshInitialisers(program.space, 0) === 0) markInitialised(program.space);
  else volatileStore32(initialisingWord(program), <u32>changetype<usize>(program));
}

/** The program has initialised them, or never will. False if it was not about to. */
export function endInitialising(program: Process, done: bool): bool {
  const word = initialisingWord(program);
  if (volatileLoad32(word) !== <u32>changetype<usize>(program)) return false;
  if (done) {
    lockLoader();
    markInitialised(program.space);
    unlockLoader();
  }
  volatileStore32(word, 0);
  wake(word, 0xffffffff);
  return true;
}

/** All libraries of the space are initialised, or will be before anything else runs there. The loader is locked. */
export function markInitialised(space: Space): void {
  for (let image = imagesIn(space); image; image = image!.spaceNext) image.fresh = 0;
}

/**
 * Stores the addresses of the initialisers that are still to run in a program's space, of libraries in the order in which they were loaded, from `at`
 * on; returns how many. With `at` = 0 it only counts. The loader is locked.
 */
export function freshInitialisers(space: Space, at: usize): u32 {
  let count: u32 = 0;
  for (let image = imagesIn(space); image; image = image!.spaceNext) {
    if (image.role === IMAGE_LIBRARY && image.fresh !== 0) count = addInitialiser(image, at, count);
  }
  return count;
}

/** The same for the start of a program: libraries, then `barrier` unless that is 0 or there were none, then the program's own. */
export function startInitialisers(process: Process, at: usize, barrier: usize): u32 {
  let count = freshInitialisers(process.space, at);
  if (barrier !== 0 && count !== 0) {
    if (at !== 0) store<usize>(at + (count << 2), barrier);
    count++;
  }
  return addInitialiser(programImage(process)!, at, count);
}

function addInitialiser(image: LoadedImage, at: usize, count: u32): u32 {
  if (image.file.initialiser === 0) return count;
  if (at !== 0) store<usize>(at + (count << 2), image.file.initialiser + image.shift);
  return count + 1;
}
