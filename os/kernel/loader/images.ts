/**
 * The images loaded in all address spaces, in the order in which they were loaded: a list of all (debuggers read it too), and one for each space,
 * so that what one space does costs the same among any number of others.
 *
 * `loaderLock` guards it, and the files behind it (image-files.ts), and is held while an image is loaded. It comes before the locks of
 * spaces and heap; no method is called while it is held.
 */

import { kernelSpace, type Space } from "../memory/space";
import { countLive, LIVE_IMAGES } from "../objects/live";
import type { Process } from "../objects/process";
import { textEquals } from "../objects/texts";
import type { Mutex } from "../threads/mutex";
import { findSymbol, type ImageFile, symbolAddress } from "./elf";

export const IMAGE_LIBRARY: u32 = 0;
export const IMAGE_PROGRAM: u32 = 1;
/** Of a program or library that has ended but has calls inside it: stays in the kernel for good. */
export const IMAGE_LEFT_BEHIND: u32 = 2;

/** One image in one space. */
@unmanaged
export class LoadedImage {
  next: LoadedImage | null = null;
  previous: LoadedImage | null = null;
  /** The others in its space. */
  spaceNext: LoadedImage | null = null;
  spacePrevious: LoadedImage | null = null;
  file: ImageFile = changetype<ImageFile>(0);
  space: Space = changetype<Space>(0);
  /** The process whose space it is; process 0 for the kernel's. */
  process: Process = changetype<Process>(0);
  role: u32 = 0;
  /** The program whose image it is; null for a library. */
  program: Process | null = null;
  /** Of a library: images that need it, and programs' references to it. */
  holders: u32 = 0;
  /** Its initialiser has not run yet, as far as the kernel knows. */
  fresh: u32 = 0;
  /** What to add to addresses of the preferred base; not 0 only in a relocated copy. */
  shift: u32 = 0;
  /** First address and size of all of it. */
  start: usize = 0;
  size: u32 = 0;
  /** In the kernel: its objects, to which no handle leads any more (departure.ts). */
  revoked: usize = 0;
}

const loaderLock: usize = memory.data(4, 16);
let firstImage: LoadedImage | null = null;
let lastImage: LoadedImage | null = null;

export function lockLoader(): void {
  changetype<Mutex>(loaderLock).acquire();
}

export function unlockLoader(): void {
  changetype<Mutex>(loaderLock).release();
}

/** The first image in a space, from which `spaceNext` leads on. The loader is locked, here and in all that follows unless it says otherwise. */
export function imagesIn(space: Space): LoadedImage | null {
  return changetype<LoadedImage | null>(space.images);
}

export function enterImage(image: LoadedImage): void {
  image.next = null;
  image.previous = lastImage;
  if (lastImage) lastImage!.next = image;
  else firstImage = image;
  lastImage = image;
  let last: LoadedImage | null = null;
  for (let other = imagesIn(image.space); other; other = other!.spaceNext) last = other;
  image.spaceNext = null;
  image.spacePrevious = last;
  if (last) last.spaceNext = image;
  else image.space.images = changetype<usize>(image);
  countLive(LIVE_IMAGES, 1);
}

/** Takes an image out of the lists; its memory and pages are the caller's to give back. */
export function removeImage(image: LoadedImage): void {
  const next = image.next;
  const previous = image.previous;
  if (previous) previous.next = next;
  else firstImage = next;
  if (next) next.previous = previous;
  else lastImage = previous;
  const after = image.spaceNext;
  const before = image.spacePrevious;
  if (before) before.spaceNext = after;
  else image.space.images = changetype<usize>(after);
  if (after) after.spacePrevious = before;
  countLive(LIVE_IMAGES, -1);
}

/** The library `name` in `space`, or null. */
export function loadedLibrary(space: Space, name: usize): LoadedImage | null {
  for (let image = imagesIn(space); image; image = image!.spaceNext) {
    if (image.role === IMAGE_LIBRARY && textEquals(image.file.name, name)) return image;
  }
  return null;
}

/** Address in its space of a library's export `name`, 0 if there is none. */
export function exportAddress(library: LoadedImage, name: usize): usize {
  const symbol = findSymbol(library.file, name);
  return symbol === 0 ? 0 : symbolAddress(library.file, symbol) + library.shift;
}

/** The image of a program, or null. */
export function programImage(process: Process): LoadedImage | null {
  for (let image = imagesIn(process.space); image; image = image!.spaceNext) {
    if (image.program === process) return image;
  }
  return null;
}

/** The image of a program in the kernel, or null. Locks the loader. */
export function imageOf(process: Process): LoadedImage | null {
  lockLoader();
  const image = programImage(process);
  unlockLoader();
  return image;
}

/** The image at an address of a space, or null. Locks the loader. */
export function imageAt(space: Space, address: usize): LoadedImage | null {
  lockLoader();
  let image = imagesIn(space);
  while (image && address - image.start >= image.size) image = image.spaceNext;
  unlockLoader();
  return image;
}

/** The program whose image it is; null for a library. */
export function ownerOfImage(image: LoadedImage): Process | null {
  return image.program;
}

/** The `index`-th image of all spaces, or null. */
export function imageWithIndex(index: u32): LoadedImage | null {
  let left = index;
  let image = firstImage;
  while (image && left-- !== 0) image = image.next;
  return image;
}

export function isInKernel(image: LoadedImage): bool {
  return image.space === kernelSpace();
}
