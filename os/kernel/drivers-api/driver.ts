/**
 * The driver calls (§4.1) but for the two about interrupt handlers, which are the lower half's. They are for programs in the kernel; a process gets
 * E_ACCESSDENIED before it comes here.
 *
 * There is one processor, so a section that no first-level handler interrupts is one with interrupts off. Sections nest by
 * a count, because a driver's functions may call each other. Where interrupts are on there is no section, whatever the count says: a driver may
 * have been ended by a fault inside one.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_FAIL, E_INVALIDARG, E_NOTFOUND, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { INTERRUPTS_ON, PAGE } from "../i386/layout";
import { PTE_FRAME } from "../i386/paging";
import { kernelEntry } from "../memory/refill";
import { REGION_DEVICE } from "../memory/regions";
import { commitRange, kernelSpace, mapRegion } from "../memory/space";

let depth: u32 = 0;

export function enterInterruptSafe(): HRESULT {
  depth = (enterCritical() & INTERRUPTS_ON) === 0 ? depth + 1 : 1;
  return S_OK;
}

/** E_FAIL outside of a section. */
export function leaveInterruptSafe(): HRESULT {
  if ((readFlags() & INTERRUPTS_ON) !== 0 || depth === 0) return E_FAIL;
  if (--depth === 0) enableInterrupts();
  return S_OK;
}

/** Physical address of the frame under a kernel address: in a region, on a stack, in the kernel's heap. 0 for none. */
function frameUnder(address: u32): u32 {
  const flags = enterCritical();
  const entry = kernelEntry(address);
  leaveCritical(flags);
  return entry & PTE_FRAME;
}

/**
 * Makes sure that the pages are there: E_NOTFOUND for addresses behind which there can be none, E_OUTOFMEMORY. Nothing takes a page of the kernel's
 * space away but the end of its region, so there is no count to keep.
 */
export function pin(address: u32, size: u32): HRESULT {
  if (size === 0 || address + size < address) return E_INVALIDARG;
  const last = (address + size - 1) & ~(<u32>PAGE - 1);
  let page = address & ~(<u32>PAGE - 1);
  for (;;) {
    const result: HRESULT = frameUnder(page) === 0 ? commitRange(kernelSpace(), page, <u32>PAGE) : S_OK;
    if (result !== S_OK) return result;
    if (page === last) break;
    page += <u32>PAGE;
  }
  return S_OK;
}

export function unpin(address: u32, size: u32): HRESULT {
  return size === 0 || address + size < address ? E_INVALIDARG : S_OK;
}

export function translate(address: u32, physical: usize): HRESULT {
  const frame = frameUnder(address);
  if (frame === 0) return E_NOTFOUND;
  store<u32>(physical, frame + (address & (<u32>PAGE - 1)));
  return S_OK;
}

export function mapDevice(physical: u32, size: u32, address: usize): HRESULT {
  const offset = physical & (<u32>PAGE - 1);
  if (size === 0 || physical + size < physical || size + offset < size) return E_INVALIDARG;
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const protection = PROTECT_READ | PROTECT_WRITE;
  const result = mapRegion(
    kernelSpace(),
    word,
    size + offset,
    protection,
    REGION_DEVICE,
    physical - offset,
    0,
  );
  if (result >= 0) store<u32>(address, load<u32>(word) + offset);
  return result;
}
