/**
 * `IMemory`: regions of a program's own space. The object may have been handed to somebody else, so a space that is
 * about to end is not touched (`visitSpace`).
 */

import { type MemoryCounters, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_ACCESSDENIED, E_DISCONNECTED, E_INVALIDARG, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { PROXY_PAGE } from "../calls/proxies";
import { PAGE, SHARED_START } from "../i386/layout";
import { vtlbBound, vtlbEvictions, vtlbRefills, vtlbTables } from "../i386/vtlb";
import { pagesCopied } from "../memory/commit";
import { frameAt } from "../memory/copy";
import { findRegion, REGION_ANONYMOUS, regionOwnedBy } from "../memory/regions";
import { scratchHits } from "../memory/scratch";
import {
  commitRange,
  kernelSpace,
  lockSpace,
  mapRegion,
  protectRegion,
  unlockSpace,
  unmapRegion,
} from "../memory/space";
import { trimmedUserPages } from "../memory/trim";
import { trimmedPages } from "../threads/helper";
import { leaveSpace, type Process, visitSpace } from "./process";

export function isProtection(protection: u32): bool {
  return (protection & ~(PROTECT_READ | PROTECT_WRITE)) === 0;
}

/** The proxies of a process are not its own to change. */
function isReserved(process: Process, address: usize): bool {
  return process.ownSpace !== 0 && address >= PROXY_PAGE && address < SHARED_START;
}

export function mapMemory(process: Process, address: usize, size: u32, protection: u32): HRESULT {
  if (!isProtection(protection)) return E_INVALIDARG;
  // The word is the caller's and may change at any time; it is read and written once.
  const wanted = stackAlloc(4);
  store<u32>(wanted, load<u32>(address));
  if (!visitSpace(process)) return E_DISCONNECTED;
  const result = mapRegion(process.space, wanted, size, protection, REGION_ANONYMOUS, 0, 0);
  leaveSpace(process);
  if (result >= 0) store<u32>(address, load<u32>(wanted));
  return result;
}

/** The region at `address` of the kernel's space belongs to the program whose code asked for it. */
export function ownRegion(address: usize, code: usize): void {
  lockSpace(kernelSpace());
  const region = findRegion(kernelSpace(), address);
  if (region) region.owner = code;
  unlockSpace(kernelSpace());
}

/** Ends what code of [start, end), which is about to leave the kernel, has mapped and not unmapped. */
export function unmapOwned(start: usize, end: usize): void {
  const space = kernelSpace();
  while (true) {
    lockSpace(space);
    const region = regionOwnedBy(space, start, end);
    const address: usize = region ? region.start : 0;
    unlockSpace(space);
    if (address === 0) return;
    unmapRegion(space, address);
  }
}

export function unmapMemory(process: Process, address: usize): HRESULT {
  if (isReserved(process, address)) return E_ACCESSDENIED;
  if (!visitSpace(process)) return E_DISCONNECTED;
  const result = unmapRegion(process.space, address);
  leaveSpace(process);
  return result;
}

export function changeProtection(process: Process, address: usize, size: u32, protection: u32): HRESULT {
  if (!isProtection(protection)) return E_INVALIDARG;
  if (isReserved(process, address)) return E_ACCESSDENIED;
  if (!visitSpace(process)) return E_DISCONNECTED;
  const result = protectRegion(process.space, address, size, protection);
  leaveSpace(process);
  return result;
}

export function frameUnder(process: Process, address: usize, physical: usize): HRESULT {
  // In a process, addresses from 2 GB on are the kernel's.
  if (process.ownSpace && address >= 0x80000000) return E_INVALIDARG;
  if (!visitSpace(process)) return E_DISCONNECTED;
  store<u32>(physical, frameAt(process.space, address & ~(PAGE - 1)));
  leaveSpace(process);
  return S_OK;
}

export function commitMemory(process: Process, address: usize, size: u32): HRESULT {
  // In a process, addresses from 2 GB on are the kernel's.
  if (process.ownSpace && (address >= 0x80000000 || size > 0x80000000 - <u32>address)) return E_INVALIDARG;
  if (!visitSpace(process)) return E_DISCONNECTED;
  const result = commitRange(process.space, address, size);
  leaveSpace(process);
  return result;
}

export function describeCounters(address: usize): HRESULT {
  const counters = changetype<MemoryCounters>(address);
  counters.tableBound = vtlbBound();
  counters.tables = vtlbTables();
  counters.evictions = vtlbEvictions();
  counters.refills = vtlbRefills();
  counters.copies = pagesCopied();
  counters.trimmedUserPages = trimmedUserPages();
  counters.trimmedKernelPages = trimmedPages();
  counters.scratchHits = scratchHits();
  return S_OK;
}
