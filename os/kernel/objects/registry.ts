/**
 * The registry of names: who is to be found under which name in the whole system.
 *
 * A name belongs to the program that registered it and goes with it; of a program in the kernel also every name goes whose object's
 * code lies in its image, whoever registered it. The lock guards the list and the `uses` of its entries, and is a leaf: an entry in use outlives its removal, so
 * that objects are called without the lock.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import {
  E_ACCESSDENIED,
  E_BUFFER,
  E_DISCONNECTED,
  E_EXISTS,
  E_INVALIDARG,
  E_NOINTERFACE,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { addServiceReference, type Door, isDoor, type Service } from "../calls/doors";
import { allocate, free } from "../memory/heap";
import type { Mutex } from "../threads/mutex";
import { countLive, LIVE_NAMES } from "./live";
import { NAME_LIMIT, PROCESS_RUNNING, type Process } from "./process";
import { copyText, isName, storeText, textEquals } from "./texts";

@unmanaged
class Name {
  next: Name | null = null;
  text: usize = 0;
  /** The object's IUnknown, one reference. */
  object: usize = 0;
  owner: Process = changetype<Process>(0);
  /** The list's, and one of each caller at work with it. */
  uses: u32 = 0;
}

const lockArea: usize = memory.data(4, 16);
let first: Name | null = null;
let last: Name | null = null;

function mutex(): Mutex {
  return changetype<Mutex>(lockArea);
}

function dropName(name: Name): void {
  mutex().acquire();
  const left = --name.uses;
  mutex().release();
  if (left !== 0) return;
  changetype<IUnknown>(name.object).release();
  free(name.text);
  free(changetype<usize>(name));
  countLive(LIVE_NAMES, -1);
}

/** Takes an entry out of the list; the registry is locked, and the list's use of the entry goes to the caller. */
function unlinkName(name: Name): void {
  let before: Name | null = null;
  for (let other = first; other; other = other!.next) {
    if (other === name) break;
    before = other;
  }
  if (before) before.next = name.next;
  else first = name.next;
  if (last === name) last = before;
}

/** The registry is locked. */
function findName(text: usize): Name | null {
  for (let name = first; name; name = name!.next) {
    if (textEquals(name.text, text)) return name;
  }
  return null;
}

/** E_INVALIDARG (empty, too long or unprintable), E_EXISTS, E_OUTOFMEMORY, E_DISCONNECTED (the owner is ending). */
export function registerName(owner: Process, text: usize, object: usize): HRESULT {
  const name = changetype<Name | null>(allocate(offsetof<Name>()));
  const copy = copyText(text, NAME_LIMIT + 1);
  const good = copy !== 0 && isName(copy, NAME_LIMIT);
  if (!name || !good) {
    if (name) free(changetype<usize>(name));
    if (copy !== 0) free(copy);
    return name && copy !== 0 ? E_INVALIDARG : E_OUTOFMEMORY;
  }
  changetype<IUnknown>(object).addRef();
  countLive(LIVE_NAMES, 1);
  name.text = copy;
  name.object = object;
  name.owner = owner;
  name.uses = 1;
  mutex().acquire();
  let result: HRESULT = S_OK;
  if (owner.state !== PROCESS_RUNNING) result = E_DISCONNECTED;
  else if (findName(copy)) result = E_EXISTS;
  else {
    if (last) last!.next = name;
    else first = name;
    last = name;
  }
  mutex().release();
  if (result !== S_OK) dropName(name);
  return result;
}

/** E_NOTFOUND; E_ACCESSDENIED for a name of somebody else. */
export function unregisterName(owner: Process, text: usize): HRESULT {
  mutex().acquire();
  const name = findName(text);
  let result: HRESULT = S_OK;
  if (!name) result = E_NOTFOUND;
  else if (name.owner !== owner) result = E_ACCESSDENIED;
  else unlinkName(name);
  mutex().release();
  if (result === S_OK) dropName(name!);
  return result;
}

/** Asks the object registered under `text` for its interface `iid`. E_NOTFOUND, E_NOINTERFACE. */
export function bindName(text: usize, iid: u32, out: usize): HRESULT {
  mutex().acquire();
  const name = findName(text);
  if (name) name.uses++;
  mutex().release();
  if (!name) return E_NOTFOUND;
  const result = changetype<IUnknown>(name.object).queryInterface(iid, out);
  dropName(name);
  return result;
}

/** The movable service under a name, with a reference, goes to `out`; null with E_NOTFOUND, or E_NOINTERFACE for an object that is no door. */
export function registeredService(text: usize, out: usize): HRESULT {
  store<usize>(out, 0);
  mutex().acquire();
  const name = findName(text);
  if (name && isDoor(name.object)) {
    const service = changetype<Door>(name.object).service;
    addServiceReference(service);
    store<usize>(out, changetype<usize>(service));
  }
  mutex().release();
  if (!name) return E_NOTFOUND;
  return load<usize>(out) !== 0 ? S_OK : E_NOINTERFACE;
}

/** The names of a service's doors belong to another program from now on. */
export function passNames(from: Process, to: Process, service: Service): void {
  mutex().acquire();
  for (let name = first; name; name = name!.next) {
    const ofService = isDoor(name.object) && changetype<Door>(name.object).service === service;
    if (name.owner === from && ofService) name.owner = to;
  }
  mutex().release();
}

export function ownsNames(owner: Process): bool {
  mutex().acquire();
  let name = first;
  while (name && name.owner !== owner) name = name.next;
  mutex().release();
  return name !== null;
}

/** S_FALSE past the last; E_BUFFER when the name was cut. */
export function nameAt(index: u32, field: usize, size: u32): HRESULT {
  let left = index;
  let result: HRESULT = S_FALSE;
  mutex().acquire();
  for (let name = first; name; name = name!.next) {
    if (left-- !== 0) continue;
    result = storeText(field, size, name.text) ? S_OK : E_BUFFER;
    break;
  }
  mutex().release();
  return result;
}

/** Removes the names of a program that has ended. */
export function unregisterAll(owner: Process): void {
  removeNames(owner, 0, 0);
}

/** Removes the names of objects whose vtable lies in [start, end): code that is about to leave the kernel. */
export function unregisterRange(start: usize, end: usize): void {
  removeNames(null, start, end);
}

function removeNames(owner: Process | null, start: usize, end: usize): void {
  for (;;) {
    let found: Name | null = null;
    mutex().acquire();
    for (let name = first; name && !found; name = name!.next) {
      if (owner) {
        if (name.owner === owner) found = name;
      } else {
        const vtable = load<usize>(name.object);
        if (vtable >= start && vtable < end) found = name;
      }
    }
    if (found) unlinkName(found);
    mutex().release();
    if (!found) return;
    dropName(found);
  }
}
