/**
 * `ILibraries` and `ILibrary`: libraries that a program loads while it runs. The object holds the library in its space for the program
 * that asked; the last reference to it, or the program's end, lets it go.
 */

import type { ILibrary } from "../../interfaces/ILibrary";
import {
  E_BUFFER,
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_NOSYMBOL,
  E_OUTOFMEMORY,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT, InString, Out, u32 } from "../../interfaces/types";
import { free } from "../memory/heap";
import { leaveSpace, NAME_LIMIT, type Process, visitSpace } from "../objects/process";
import { copyText, isName } from "../objects/texts";
import { exportAddress, type LoadedImage, lockLoader, unlockLoader } from "./images";
import { beginInitialising, endInitialising, freshInitialisers, lockLoaderFor } from "./initialisers";
import { loadLibrary, unloadUnused } from "./loading";

/** Longest name of a symbol, in bytes. */
const SYMBOL_LIMIT: u32 = 255;
/** Most libraries that one load brings. */
const MOST_INITIALISERS: u32 = 32;

@unmanaged
class Library extends ComObject implements ILibrary {
  /** Null when its space or its program has ended. This and the list change with the loader locked. */
  image: LoadedImage | null = null;
  program: Process = changetype<Process>(0);
  next: Library | null = null;

  symbol(name: InString, address: Out<u32>): HRESULT {
    const own = copyText(name, SYMBOL_LIMIT + 1);
    if (own === 0) return E_OUTOFMEMORY;
    lockLoader();
    const image = this.image;
    const found = image ? exportAddress(image, own) : 0;
    unlockLoader();
    free(own);
    store<u32>(address, <u32>found);
    return found !== 0 ? S_OK : image ? E_NOSYMBOL : E_DISCONNECTED;
  }

  finish(): void {
    const lasts = visitSpace(this.program);
    lockLoader();
    removeLibrary(this);
    const image = this.image;
    if (image) image.holders--;
    unlockLoader();
    // A space that ends takes its images with it.
    if (lasts) {
      if (image) unloadUnused(this.program.space);
      leaveSpace(this.program);
    }
    this.program.release();
  }
}

let firstLibrary: Library | null = null;

function removeLibrary(library: Library): void {
  let before: Library | null = null;
  for (let other = firstLibrary; other && other !== library; other = other!.next) before = other;
  if (before) before.next = library.next;
  else firstLibrary = library.next;
}

/** The program has ended: it holds no library any more. The loader is locked. */
export function forgetLibraries(program: Process): void {
  for (let library = firstLibrary; library; library = library!.next) {
    if (library.program !== program) continue;
    const image = library.image;
    if (image) image.holders--;
    library.image = null;
  }
  endInitialising(program, false);
}

/**
 * `ILibraries.load` for a program. The addresses of the initialisers, at most `size` bytes of them, go to `initialisers`, their number to
 * `count`, the object with a reference to `out`.
 */
export function loadForProgram(
  program: Process,
  name: usize,
  initialisers: usize,
  size: u32,
  count: usize,
  out: usize,
): HRESULT {
  const own = copyText(name, NAME_LIMIT + 1);
  if (own === 0) return E_OUTOFMEMORY;
  const list = stackAlloc(MOST_INITIALISERS * 4);
  const fresh = stackAlloc(4);
  store<u32>(fresh, 0);
  let result: HRESULT = isName(own, NAME_LIMIT) ? S_OK : E_INVALIDARG;
  const library = newObject<Library>();
  if (!library) result = E_OUTOFMEMORY;
  else {
    program.addRef();
    library.program = program;
  }
  if (result >= 0) result = loadInto(library!, own, size, list, fresh);
  if (result >= 0) {
    memory.copy(initialisers, list, load<u32>(fresh) * 4);
    store<u32>(count, load<u32>(fresh));
    store<usize>(out, changetype<usize>(interfaceOf<ILibrary>(library!)));
  } else if (library) library.release();
  free(own);
  return result;
}

/** Loads `name`, ties it to the object, and makes the list of initialisers, all or nothing. */
function loadInto(library: Library, name: usize, size: u32, list: usize, count: usize): HRESULT {
  const program = library.program;
  if (!visitSpace(program)) return E_DISCONNECTED;
  const word = stackAlloc(4);
  let result: HRESULT = E_CANCELLED;
  if (lockLoaderFor(program)) {
    result = loadLibrary(program, name, 0, null, word);
    if (result >= 0) {
      const fresh = freshInitialisers(program.space, 0);
      if (fresh * 4 > size || fresh > MOST_INITIALISERS) result = E_BUFFER;
      else {
        store<u32>(count, freshInitialisers(program.space, list));
        beginInitialising(program);
        const image = changetype<LoadedImage>(load<usize>(word));
        image.holders++;
        library.image = image;
        library.next = firstLibrary;
        firstLibrary = library;
      }
    }
    unlockLoader();
  }
  if (result < 0) unloadUnused(program.space);
  leaveSpace(program);
  return result;
}

/** `ILibraries.initialised`: S_FALSE when the program had nothing to initialise. */
export function librariesInitialised(program: Process): HRESULT {
  return endInitialising(program, true) ? S_OK : S_FALSE;
}
