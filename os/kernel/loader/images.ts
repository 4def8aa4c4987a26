/**
 * Images in address spaces (§5.2). Code pages of an image from the boot archive are the archive's own frames, so all spaces, the
 * kernel's included, share them; data pages are copies. If the preferred range is taken, the whole image becomes a private relocated copy elsewhere.
 *
 * A library is loaded once a space. In a process everything goes with the space. In the kernel a program's image goes
 * with the program; libraries stay, because memory that they manage (rt's heap) outlives any one program.
 *
 * In the kernel all pages are there from the start: interrupt handlers must not fault.
 *
 * `loaderLock` guards the lists of files and images and is held while an image is loaded. It comes before the locks of
 * spaces and heap; no method is called while it is held.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import {
  E_BADIMAGE,
  E_EXISTS,
  E_NOLIBRARY,
  E_NOSYMBOL,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print, printName } from "../console";
import { copyFromSpace, copyToSpace } from "../memory/copy";
import { allocate, free } from "../memory/heap";
import { REGION_ANONYMOUS, REGION_COMMIT, REGION_IMAGE_CODE, REGION_IMAGE_DATA } from "../memory/regions";
import { kernelSpace, mapRegion, type Space, unmapRegion } from "../memory/space";
import { countLive, LIVE_IMAGE_FILES, LIVE_IMAGES } from "../objects/live";
import { kernelProcess, NAME_LIMIT, type Process } from "../objects/process";
import { copyText, textEquals } from "../objects/texts";
import type { Mutex } from "../threads/mutex";
import { fileContents, fileIntact, findFile } from "./archive";
import {
  findExport,
  type ImageFile,
  imageSpan,
  importFrom,
  neededLibrary,
  parseImage,
  RELOCATION_GLOB_DAT,
  RELOCATION_RELATIVE,
  relocationAddress,
  relocationSymbol,
  relocationType,
  symbolName,
} from "./elf";

/** How deep libraries may need libraries. */
const DEPTH_LIMIT: u32 = 8;

/** One image in one space. */
@unmanaged
export class LoadedImage {
  next: LoadedImage | null = null;
  file: ImageFile = changetype<ImageFile>(0);
  space: Space = changetype<Space>(0);
  /** The process whose space it is; process 0 for the kernel's. */
  process: Process = changetype<Process>(0);
  /** The program whose image it is; null for a library. */
  program: Process | null = null;
  /** Its initialiser has not run yet, as far as the kernel knows. */
  fresh: u32 = 0;
  /** What to add to addresses of the preferred base; not 0 only in a relocated copy. */
  shift: u32 = 0;
  /** First address and size of all of it. */
  start: usize = 0;
  size: u32 = 0;
}

const lockArea: usize = memory.data(4, 16);
let files: ImageFile | null = null;
let firstImage: LoadedImage | null = null;
let lastImage: LoadedImage | null = null;

export function lockLoader(): void {
  changetype<Mutex>(lockArea).acquire();
}

export function unlockLoader(): void {
  changetype<Mutex>(lockArea).release();
}

function complain(name: usize, problem: usize, detail: usize): void {
  print(text("loader: "));
  printName(name);
  print(problem);
  printName(detail);
  print(text("\n"));
}

/** The archive's image `folder` + `name`, parsed; null with the reason in `result` (a word). The loader is locked. */
export function archiveImage(folder: usize, name: usize, result: usize): ImageFile | null {
  const entry = findFile(folder, name);
  if (!entry) {
    store<i32>(result, E_NOTFOUND);
    return null;
  }
  const bytes = fileContents(entry);
  for (let file = files; file; file = file!.next) {
    if (file.bytes === bytes) return file;
  }
  if (!fileIntact(entry)) {
    complain(name, text(": the checksum of its contents is wrong"), text(""));
    store<i32>(result, E_BADIMAGE);
    return null;
  }
  const file = newFile(name, bytes, entry.size, result);
  if (!file) return null;
  file.inArchive = 1;
  file.next = files;
  files = file;
  return file;
}

/** A file for a copy, on the heap, of an image in a program's memory; `bytes` goes with it. Null with the reason in `result`. */
export function privateImage(name: usize, bytes: usize, size: u32, result: usize): ImageFile | null {
  const file = newFile(name, bytes, size, result);
  if (!file) free(bytes);
  return file;
}

function newFile(name: usize, bytes: usize, size: u32, result: usize): ImageFile | null {
  const file = changetype<ImageFile | null>(allocate(offsetof<ImageFile>()));
  const copy = copyText(name, NAME_LIMIT);
  if (!file || copy === 0) {
    if (file) free(changetype<usize>(file));
    if (copy !== 0) free(copy);
    store<i32>(result, E_OUTOFMEMORY);
    return null;
  }
  file.bytes = bytes;
  file.size = size;
  file.name = copy;
  countLive(LIVE_IMAGE_FILES, 1);
  const parsed = parseImage(file);
  store<i32>(result, parsed);
  if (parsed === S_OK) return file;
  complain(name, text(": not a good image"), text(""));
  freeFile(file);
  return null;
}

function freeFile(file: ImageFile): void {
  free(file.name);
  free(changetype<usize>(file));
  countLive(LIVE_IMAGE_FILES, -1);
}

/** The file has lost a user; a copy that nobody uses goes. */
export function dropFile(file: ImageFile): void {
  if (file.inArchive || file.uses !== 0) return;
  free(file.bytes);
  freeFile(file);
}

/** The library `name` in `space`, or null. The loader is locked. */
function loadedLibrary(space: Space, name: usize): LoadedImage | null {
  for (let image = firstImage; image; image = image!.next) {
    if (image.space === space && !image.program && textEquals(image.file.name, name)) return image;
  }
  return null;
}

/** Address of export `name` of `library` in `space`, 0 if there is none. The loader is locked. */
export function exportAddress(space: Space, library: usize, name: usize): usize {
  const image = loadedLibrary(space, library);
  if (!image) return 0;
  const address = findExport(image.file, name);
  return address === 0 ? 0 : address + image.shift;
}

/** Address of main of a loaded program. The loader is locked. */
export function mainAddress(process: Process): usize {
  for (let image = firstImage; image; image = image!.next) {
    if (image.program === process) return image.file.entry + image.shift;
  }
  return 0;
}

/**
 * Stores the addresses of the initialisers that are still to run in a program's space, libraries first and the program's own last, from `at` on;
 * returns how many. With `at` = 0 it only counts. Between libraries and program comes `barrier` unless that is 0 or there are no libraries. The
 * loader is locked.
 */
export function freshInitialisers(process: Process, at: usize, barrier: usize): u32 {
  let count: u32 = 0;
  let libraries = false;
  for (let image = firstImage; image; image = image!.next) {
    if (image.space !== process.space || image.program || !image.fresh) continue;
    libraries = true;
    count = addInitialiser(image, at, count);
  }
  if (libraries && barrier !== 0) {
    if (at !== 0) store<usize>(at + (count << 2), barrier);
    count++;
  }
  for (let image = firstImage; image; image = image!.next) {
    if (image.program === process) count = addInitialiser(image, at, count);
  }
  return count;
}

function addInitialiser(image: LoadedImage, at: usize, count: u32): u32 {
  if (image.file.initialiser === 0) return count;
  if (at !== 0) store<usize>(at + (count << 2), image.file.initialiser + image.shift);
  return count + 1;
}

/** Are there libraries in the program's space that are not initialised? */
export function hasFreshLibraries(process: Process): bool {
  let found = false;
  lockLoader();
  for (let image = firstImage; image && !found; image = image!.next) {
    found = image.space === process.space && !image.program && image.fresh !== 0;
  }
  unlockLoader();
  return found;
}

/** All libraries of the kernel are initialised. */
export function markKernelLibraries(): void {
  lockLoader();
  for (let image = firstImage; image; image = image!.next) {
    if (image.space === kernelSpace()) image.fresh = 0;
  }
  unlockLoader();
}

/**
 * Loads the image of a program, and the libraries it needs that are not there yet, into the program's space. What a failure
 * leaves behind goes with the process; a library in the kernel stays, to be initialised by the next program. The loader is locked.
 */
export function loadProgram(process: Process, file: ImageFile): HRESULT {
  let result = loadNeeded(process, file, 0);
  if (result >= 0) result = loadLibrary(process, text("rt"), file.name, 0);
  if (result >= 0) result = loadImage(process, process, file);
  if (result >= 0 && !process.ownSpace) {
    const image = lastImage!;
    process.imageStart = image.start;
    process.imageEnd = image.start + image.size;
  }
  return result;
}

function loadNeeded(process: Process, file: ImageFile, depth: u32): HRESULT {
  let result: HRESULT = S_OK;
  for (let index: u32 = 0; result >= 0; index++) {
    const name = neededLibrary(file, index);
    if (name === 0) break;
    result = loadLibrary(process, name, file.name, depth);
  }
  return result;
}

function loadLibrary(process: Process, name: usize, neededBy: usize, depth: u32): HRESULT {
  if (loadedLibrary(process.space, name)) return S_OK;
  const result = stackAlloc(4);
  const file: ImageFile | null = depth < DEPTH_LIMIT ? archiveImage(text("lib/"), name, result) : null;
  if (!file) {
    complain(neededBy, text(" needs a library that cannot be loaded: "), name);
    return E_NOLIBRARY;
  }
  const needed = loadNeeded(process, file, depth + 1);
  // A library that needs itself, by whatever way, is there now.
  if (needed < 0 || loadedLibrary(process.space, name)) return needed;
  return loadImage(process, null, file);
}

/** Maps an image, links it to the libraries of its space and enters it in the list. */
function loadImage(process: Process, program: Process | null, file: ImageFile): HRESULT {
  const image = changetype<LoadedImage | null>(allocate(offsetof<LoadedImage>()));
  if (!image) return E_OUTOFMEMORY;
  image.file = file;
  image.space = process.space;
  image.process = process.ownSpace ? process : kernelProcess();
  image.program = program;
  image.size = imageSpan(file);
  image.start = file.codeStart;
  let result = mapAt(image, 0);
  if (result === E_EXISTS) result = mapElsewhere(image);
  if (result >= 0) {
    result = link(image);
    if (result < 0) unmapImage(image);
  }
  if (result < 0) {
    free(changetype<usize>(image));
    return result;
  }
  image.fresh = 1;
  file.uses++;
  if (lastImage) lastImage!.next = image;
  else firstImage = image;
  lastImage = image;
  countLive(LIVE_IMAGES, 1);
  return S_OK;
}

/** Maps code and data `shift` bytes from the preferred base. Code is shared if it can be. E_EXISTS if the range is taken. */
function mapAt(image: LoadedImage, shift: u32): HRESULT {
  const file = image.file;
  const commit = image.space === kernelSpace() ? REGION_COMMIT : 0;
  const shared = file.inArchive !== 0 && shift === 0;
  const address = stackAlloc(4);
  store<u32>(address, file.codeStart + shift);
  let result = mapRegion(
    image.space,
    address,
    file.codeSize,
    PROTECT_READ,
    (shared ? REGION_IMAGE_CODE : REGION_IMAGE_DATA) | commit,
    file.bytes + file.codeOffset,
    file.codeFileSize,
  );
  if (result < 0 || file.dataSize === 0) return result;
  store<u32>(address, file.dataStart + shift);
  result = mapRegion(
    image.space,
    address,
    file.dataSize,
    PROTECT_READ | PROTECT_WRITE,
    REGION_IMAGE_DATA | commit,
    file.bytes + file.dataOffset,
    file.dataSourceSize,
  );
  if (result < 0) unmapRegion(image.space, file.codeStart + shift);
  return result;
}

/** The fallback: a private copy where there is room, with all addresses in it changed. */
function mapElsewhere(image: LoadedImage): HRESULT {
  const file = image.file;
  const address = stackAlloc(4);
  store<u32>(address, 0);
  // A region of the whole size finds the place and makes room for the two real ones.
  let result = mapRegion(image.space, address, image.size, PROTECT_READ, REGION_ANONYMOUS, 0, 0);
  if (result < 0) return result;
  unmapRegion(image.space, load<u32>(address));
  const shift = load<u32>(address) - file.codeStart;
  result = mapAt(image, shift);
  if (result < 0) return result === E_EXISTS ? E_OUTOFMEMORY : result;
  image.shift = shift;
  image.start = load<u32>(address);
  for (let index: u32 = 0; index < file.relocationCount && result >= 0; index++) {
    if (relocationType(file, index) !== RELOCATION_RELATIVE) continue;
    const place: usize = relocationAddress(file, index) + shift;
    result = copyFromSpace(image.space, place, address, 4);
    store<u32>(address, load<u32>(address) + shift);
    if (result >= 0) result = copyToSpace(image.space, place, address, 4);
  }
  if (result < 0) unmapImage(image);
  return result;
}

/** Fills the import slots from the libraries of the space. E_NOSYMBOL. */
function link(image: LoadedImage): HRESULT {
  const file = image.file;
  const value = stackAlloc(4);
  for (let index: u32 = 0; index < file.relocationCount; index++) {
    if (relocationType(file, index) !== RELOCATION_GLOB_DAT) continue;
    const symbol = symbolName(file, relocationSymbol(file, index));
    const address = importAddress(image, symbol);
    if (address === 0) {
      complain(file.name, text(" needs a symbol that no library has: "), symbol);
      return E_NOSYMBOL;
    }
    store<usize>(value, address);
    const result = copyToSpace(image.space, relocationAddress(file, index) + image.shift, value, 4);
    if (result < 0) return E_OUTOFMEMORY;
  }
  return S_OK;
}

function importAddress(image: LoadedImage, symbol: usize): usize {
  for (let library = firstImage; library; library = library!.next) {
    if (library.space !== image.space || library.program) continue;
    const name = importFrom(symbol, library.file.name);
    if (name === 0) continue;
    const address = findExport(library.file, name);
    return address === 0 ? 0 : address + library.shift;
  }
  return 0;
}

function unmapImage(image: LoadedImage): void {
  const file = image.file;
  unmapRegion(image.space, file.codeStart + image.shift);
  if (file.dataSize !== 0) unmapRegion(image.space, file.dataStart + image.shift);
}

/**
 * Forgets the images of a program that has ended: of its space, if it has one of its own; otherwise, its own image, which leaves the
 * kernel unless somebody is still in it (departure.ts).
 */
export function unloadImages(process: Process): void {
  lockLoader();
  let before: LoadedImage | null = null;
  let image = firstImage;
  while (image) {
    const next = image.next;
    if (process.ownSpace ? image.space === process.space : image.program === process) {
      if (before) before.next = next;
      else firstImage = next;
      if (lastImage === image) lastImage = before;
      // Regions of a process go with its space, before anything can look at the file again.
      unmapImage(image);
      image.file.uses--;
      dropFile(image.file);
      free(changetype<usize>(image));
      countLive(LIVE_IMAGES, -1);
    } else before = image;
    image = next;
  }
  unlockLoader();
}

/** The image stays in the kernel, although its program has ended. */
export function keepImage(image: LoadedImage): void {
  lockLoader();
  image.program = null;
  unlockLoader();
}

/** The file of a program's image, or null. The loader is locked. */
export function fileOfProgram(process: Process): ImageFile | null {
  let image = firstImage;
  while (image && image.program !== process) image = image.next;
  return image ? image.file : null;
}

/** The image of a program in the kernel, or null. */
export function imageOf(process: Process): LoadedImage | null {
  lockLoader();
  let image = firstImage;
  while (image && image.program !== process) image = image.next;
  unlockLoader();
  return image;
}

/** The image at an address of a space, or null. */
export function imageAt(space: Space, address: usize): LoadedImage | null {
  lockLoader();
  let image = firstImage;
  while (image && !(image.space === space && address - image.start < image.size)) image = image.next;
  unlockLoader();
  return image;
}

/** The program whose image it is; null for a library. */
export function ownerOfImage(image: LoadedImage): Process | null {
  return image.program;
}

/** The `index`-th image of all spaces, or null. The loader is locked. */
export function imageWithIndex(index: u32): LoadedImage | null {
  let left = index;
  let image = firstImage;
  while (image && left-- !== 0) image = image.next;
  return image;
}
