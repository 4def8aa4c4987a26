/**
 * Image files: those of the boot archive, which stay known and whose frames are mapped as they are, and copies of images from a
 * program's memory, which go with their last use. The loader's lock (images.ts) guards the list and `uses`.
 */

import { E_BADIMAGE, E_NOTFOUND, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import { print, printName } from "../console";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_IMAGE_FILES } from "../objects/live";
import { NAME_LIMIT } from "../objects/process";
import { copyText } from "../objects/texts";
import { fileContents, fileIntact, findFile } from "./archive";
import { type ImageFile, parseImage } from "./elf";

let files: ImageFile | null = null;

/** One line on the console about image `name`. */
export function complain(name: usize, problem: usize, detail: usize): void {
  print(text("loader: "));
  printName(name);
  print(problem);
  printName(detail);
  print(text("\n"));
}

/** The archive's image `folder` + `name`, parsed; null with the reason in `result` (a word): E_NOTFOUND, E_BADIMAGE, E_OUTOFMEMORY. */
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
