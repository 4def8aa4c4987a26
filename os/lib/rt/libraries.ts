/** Loading shared libraries while a program runs. */

import { ILibraries } from "../../interfaces/ILibraries";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { systemObject } from "./program";

/** Most initialisers that one load may bring, in bytes of their addresses. */
const INITIALISERS: u32 = 128;

/**
 * Loads the library `name` into this space, if it is not there, and runs the initialisers that came with it. Its `ILibrary`, with a reference,
 * goes to the word at `out`. Fails as `ILibraries.load`.
 */
export function loadLibrary(name: usize, out: usize): HRESULT {
  const word = stackAlloc(4);
  const list = stackAlloc(INITIALISERS);
  store<u32>(word, 0);
  const found = systemObject().queryInterface(ILibraries.IID, word);
  if (found !== S_OK) return found;
  const libraries = changetype<ILibraries>(load<usize>(word));
  const result = libraries.load(name, list, INITIALISERS, word, out);
  if (result === S_OK && load<u32>(word) !== 0) {
    for (let index: u32 = 0; index < load<u32>(word); index++)
      call_indirect<void>(load<u32>(list + index * 4));
    libraries.initialised();
  }
  libraries.release();
  return result;
}
