/**
 * Loading and unloading (§5.2). A library is in a space once, whoever needs it there: the images that need it and the programs that
 * asked for it hold it, and it leaves with its last holder, and then what it needs itself. `rt` alone stays, because memory that it manages outlives
 * any one program. In a process everything goes with the space.
 */

import { E_CYCLE, E_NOLIBRARY, E_NOTFOUND, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print, printName } from "../console";
import { allocate, free } from "../memory/heap";
import type { Space } from "../memory/space";
import { kernelProcess, type Process } from "../objects/process";
import { textEquals } from "../objects/texts";
import { departed } from "./departure";
import { type ImageFile, imageSpan, neededLibrary } from "./elf";
import { archiveImage, complain, dropFile } from "./image-files";
import {
  enterImage,
  IMAGE_LEFT_BEHIND,
  IMAGE_LIBRARY,
  IMAGE_PROGRAM,
  imagesIn,
  isInKernel,
  type LoadedImage,
  loadedLibrary,
  lockLoader,
  programImage,
  removeImage,
  unlockLoader,
} from "./images";
import { forgetLibraries } from "./libraries";
import { linkImage } from "./linking";
import { mapImage, unmapImage } from "./mapping";

/** How deep libraries may need libraries. */
const DEPTH_LIMIT: u32 = 8;

/** A library that is being loaded, and the one that needs it: lives on the stack of who loads. */
@unmanaged
class Need {
  name: usize = 0;
  by: Need | null = null;
  depth: u32 = 0;
}

/**
 * Loads the image of a program, and the libraries it needs that are not there yet, into the program's space. After a failure
 * `unloadUnused` takes away what came with it. The loader is locked.
 */
export function loadProgram(process: Process, file: ImageFile): HRESULT {
  let result = loadRuntime(process, file.name);
  if (result >= 0) result = loadImage(process, process, file, null);
  if (result >= 0 && !process.ownSpace) {
    const image = programImage(process)!;
    process.imageStart = image.start;
    process.imageEnd = image.start + image.size;
  }
  return result;
}

/** Every program starts in `rt`, whether it calls it or not. */
function loadRuntime(process: Process, neededBy: usize): HRESULT {
  const library = stackAlloc(4);
  return loadLibrary(process, text("rt"), neededBy, null, library);
}

/**
 * Stores in `out` the library `name` of the process's space, which is loaded if it is not there, and which nobody holds for that yet.
 * `neededBy` is the image that wants it, for messages; 0 for a program's own wish. The loader is locked.
 * E_NOTFOUND or E_NOLIBRARY, E_BADIMAGE, E_CYCLE, E_NOSYMBOL, E_VERSION, E_OUTOFMEMORY.
 */
export function loadLibrary(
  process: Process,
  name: usize,
  neededBy: usize,
  by: Need | null,
  out: usize,
): HRESULT {
  let library = loadedLibrary(process.space, name);
  let result: HRESULT = S_OK;
  if (!library) {
    if (isCycle(name, neededBy, by)) return E_CYCLE;
    const reason = stackAlloc(4);
    const file = archiveImage(text("lib/"), name, reason);
    if (!file) {
      if (neededBy === 0) return load<i32>(reason);
      complain(neededBy, text(" needs a library that cannot be loaded: "), name);
      return load<i32>(reason) === E_NOTFOUND ? E_NOLIBRARY : load<i32>(reason);
    }
    const need = changetype<Need>(stackAlloc(offsetof<Need>()));
    need.name = name;
    need.by = by;
    need.depth = by ? by.depth + 1 : 1;
    if (need.depth > DEPTH_LIMIT) {
      complain(neededBy, text(" is at the end of too long a chain of libraries; it needs "), name);
      return E_NOLIBRARY;
    }
    result = loadImage(process, null, file, need);
    library = loadedLibrary(process.space, name);
  }
  store<usize>(out, changetype<usize>(library));
  return result;
}

/** Is `name` one of the libraries that are waiting for it? */
function isCycle(name: usize, neededBy: usize, by: Need | null): bool {
  for (let need = by; need; need = need!.by) {
    if (!textEquals(need.name, name)) continue;
    print(text("loader: library "));
    printName(neededBy);
    print(text(" needs "));
    printName(name);
    print(text(", which needs "));
    printName(neededBy);
    print(text(": libraries must not need each other\n"));
    return true;
  }
  return false;
}

/** Loads what an image needs, maps it, links it and enters it in the list; `need` says for whom, if it is a library. */
function loadImage(process: Process, program: Process | null, file: ImageFile, need: Need | null): HRESULT {
  let held: u32 = 0;
  let result: HRESULT = S_OK;
  const library = stackAlloc(4);
  for (; result >= 0; held++) {
    const name = neededLibrary(file, held);
    if (name === 0) break;
    result = loadLibrary(process, name, file.name, need, library);
    if (result < 0) break;
    changetype<LoadedImage>(load<usize>(library)).holders++;
  }
  if (result >= 0) result = placeImage(process, program, file);
  if (result < 0) letGo(process.space, file, held);
  return result;
}

function placeImage(process: Process, program: Process | null, file: ImageFile): HRESULT {
  const image = changetype<LoadedImage | null>(allocate(offsetof<LoadedImage>()));
  if (!image) return E_OUTOFMEMORY;
  image.file = file;
  image.space = process.space;
  image.process = process.ownSpace ? process : kernelProcess();
  image.role = program ? IMAGE_PROGRAM : IMAGE_LIBRARY;
  image.program = program;
  image.size = imageSpan(file);
  let result = mapImage(image);
  if (result >= 0) {
    result = linkImage(image);
    if (result < 0) unmapImage(image);
  }
  if (result < 0) {
    free(changetype<usize>(image));
    return result;
  }
  image.fresh = 1;
  file.uses++;
  enterImage(image);
  return S_OK;
}

/** An image no longer holds the first `count` libraries that it needs. */
function letGo(space: Space, file: ImageFile, count: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    const name = neededLibrary(file, index);
    if (name === 0) return;
    const library = loadedLibrary(space, name);
    if (library) library.holders--;
  }
}

/** Takes the libraries out of a space that nobody holds. The loader is not locked, and the space is one that lasts meanwhile. */
export function unloadUnused(space: Space): void {
  for (;;) {
    lockLoader();
    const image = unusedLibrary(space);
    if (image) removeImage(image);
    unlockLoader();
    if (!image) return;
    const stays = isInKernel(image) && !departed(image, true);
    lockLoader();
    if (stays) {
      image.role = IMAGE_LEFT_BEHIND;
      enterImage(image);
    } else discard(image);
    unlockLoader();
  }
}

function unusedLibrary(space: Space): LoadedImage | null {
  for (let image = imagesIn(space); image; image = image!.spaceNext) {
    if (image.role !== IMAGE_LIBRARY || image.holders !== 0) continue;
    if (!textEquals(image.file.name, text("rt"))) return image;
  }
  return null;
}

/** Ends an image that is out of the list. */
function discard(image: LoadedImage): void {
  letGo(image.space, image.file, 0xffffffff);
  unmapImage(image);
  image.file.uses--;
  dropFile(image.file);
  free(changetype<usize>(image));
}

/**
 * Forgets the images of a program that has ended: all of its space, if it has one of its own; otherwise its own image, which leaves the
 * kernel unless somebody is still in it (departure.ts), and the libraries that nobody else there needs.
 */
export function unloadImages(process: Process): void {
  lockLoader();
  forgetLibraries(process);
  let image = imagesIn(process.space);
  while (image) {
    const next: LoadedImage | null = image.spaceNext;
    if (process.ownSpace || image.program === process) {
      removeImage(image);
      discard(image);
    }
    image = next;
  }
  unlockLoader();
  if (!process.ownSpace) unloadUnused(process.space);
}
