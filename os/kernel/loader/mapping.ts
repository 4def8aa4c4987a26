/**
 * An image's pages in a space (§5.2). At the preferred base, code pages of an image from the boot archive are the archive's own frames, so
 * that all spaces share them, the kernel's included. Where that range is taken, all of the image goes elsewhere: code pages that hold
 * addresses become the space's own, the others stay shared. Data pages are the space's own in any case.
 *
 * In the kernel all pages are there from the start, as copies: interrupt handlers must not fault.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_EXISTS, E_OUTOFMEMORY } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { PAGE, WINDOW_START } from "../i386/layout";
import { copyFromSpace, frameAt, patchSpace } from "../memory/copy";
import { REGION_ANONYMOUS, REGION_COMMIT, REGION_IMAGE_CODE, REGION_IMAGE_DATA } from "../memory/regions";
import { kernelSpace, mapRegion, unmapRegion } from "../memory/space";
import { RELOCATION_RELATIVE, relocationAddress, relocationType } from "./elf";
import type { LoadedImage } from "./images";

/** Maps an image whose file, space and size are set, and sets where it is. E_OUTOFMEMORY. */
export function mapImage(image: LoadedImage): HRESULT {
  image.start = image.file.codeStart;
  const result = mapAt(image, 0);
  return result === E_EXISTS ? mapElsewhere(image) : result;
}

export function unmapImage(image: LoadedImage): void {
  const file = image.file;
  unmapRegion(image.space, file.codeStart + image.shift);
  if (file.dataSize !== 0) unmapRegion(image.space, file.dataStart + image.shift);
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

/** The fallback: where there is room, with all addresses in it changed. */
function mapElsewhere(image: LoadedImage): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  // A region of the whole size finds the place and makes room for the two real ones.
  let result = mapRegion(image.space, address, image.size, PROTECT_READ, REGION_ANONYMOUS, 0, 0);
  if (result < 0) return result;
  unmapRegion(image.space, load<u32>(address));
  image.shift = load<u32>(address) - image.file.codeStart;
  image.start = load<u32>(address);
  result = mapAt(image, image.shift);
  // Another thread of the program took the place meanwhile.
  if (result < 0) return result === E_EXISTS ? E_OUTOFMEMORY : result;
  result = relocate(image);
  if (result < 0) unmapImage(image);
  return result;
}

function relocate(image: LoadedImage): HRESULT {
  const file = image.file;
  const value = stackAlloc(4);
  for (let index: u32 = 0; index < file.relocationCount; index++) {
    if (relocationType(file, index) !== RELOCATION_RELATIVE) continue;
    const place: usize = relocationAddress(file, index) + image.shift;
    if (copyFromSpace(image.space, place, value, 4) < 0) return E_OUTOFMEMORY;
    store<u32>(value, load<u32>(value) + image.shift);
    if (patchSpace(image.space, place, value, 4) < 0) return E_OUTOFMEMORY;
  }
  return 0;
}

/** How many of the code pages that the space has touched are not the archive's own frames: what relocation costs. */
export function privateCodePages(image: LoadedImage): u32 {
  const file = image.file;
  let count: u32 = 0;
  for (let offset: u32 = 0; offset < file.codeSize; offset += <u32>PAGE) {
    const frame = frameAt(image.space, image.start + offset);
    if (frame === 0) continue;
    const own = file.inArchive === 0 || frame !== <u32>(file.bytes + file.codeOffset + offset - WINDOW_START);
    if (own) count++;
  }
  return count;
}
