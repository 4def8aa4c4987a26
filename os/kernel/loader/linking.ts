/**
 * Binding an image's imports to the libraries of its space, once for all when it is loaded. An import comes from a library that the image
 * says it needs, by name, and must have the version that the image was built against (toolchain/src/front/signatures.ts).
 */

import { E_NOSYMBOL, E_OUTOFMEMORY, E_VERSION, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print, printHexadecimal, printName } from "../console";
import { patchSpace } from "../memory/copy";
import {
  findSymbol,
  type ImageFile,
  importFrom,
  neededLibrary,
  RELOCATION_GLOB_DAT,
  relocationAddress,
  relocationSymbol,
  relocationType,
  symbolAddress,
  symbolName,
  symbolVersion,
} from "./elf";
import { complain } from "./image-files";
import { type LoadedImage, loadedLibrary } from "./images";

/** Fills the import slots. The libraries are loaded, the loader is locked. E_NOSYMBOL, E_VERSION, E_OUTOFMEMORY. */
export function linkImage(image: LoadedImage): HRESULT {
  const file = image.file;
  const value = stackAlloc(4);
  for (let index: u32 = 0; index < file.relocationCount; index++) {
    if (relocationType(file, index) !== RELOCATION_GLOB_DAT) continue;
    const result = importAddress(image, relocationSymbol(file, index), value);
    if (result < 0) return result;
    if (patchSpace(image.space, relocationAddress(file, index) + image.shift, value, 4) < 0)
      return E_OUTOFMEMORY;
  }
  return S_OK;
}

/** Stores in `out` the address of what symbol `index` of the image, "LIBRARY!NAME", names. */
function importAddress(image: LoadedImage, index: u32, out: usize): HRESULT {
  const file = image.file;
  const symbol = symbolName(file, index);
  const needed = libraryOf(file, symbol);
  const library = needed !== 0 ? loadedLibrary(image.space, needed) : null;
  const found: u32 = library ? findSymbol(library.file, importFrom(symbol, needed)) : 0;
  if (!library || found === 0) {
    complain(file.name, text(" needs a symbol that none of its libraries has: "), symbol);
    return E_NOSYMBOL;
  }
  const wanted = symbolVersion(file, index);
  const offered = symbolVersion(library.file, found);
  if (wanted !== 0 && offered !== 0 && wanted !== offered) {
    complainOfVersion(file.name, symbol, wanted, needed, offered);
    return E_VERSION;
  }
  store<u32>(out, symbolAddress(library.file, found) + library.shift);
  return S_OK;
}

/** Which of the libraries that the image needs `symbol` is from: its name, 0 if it is from none. */
function libraryOf(file: ImageFile, symbol: usize): usize {
  let index: u32 = 0;
  let name = neededLibrary(file, index);
  while (name !== 0 && importFrom(symbol, name) === 0) name = neededLibrary(file, ++index);
  return name;
}

function complainOfVersion(image: usize, symbol: usize, wanted: u32, library: usize, offered: u32): void {
  print(text("loader: "));
  printName(image);
  print(text(" was built for version "));
  printHexadecimal(wanted);
  print(text(" of "));
  printName(symbol);
  print(text(", but library "));
  printName(library);
  print(text(" has version "));
  printHexadecimal(offered);
  print(text(": build both again\n"));
}
