/**
 * The proxies of a process: what an interface pointer to an object elsewhere points at.
 *
 *   0x3f000000  one page: stubs, the vtable of their addresses, the two return stubs (i386/proxies.asm.ts draws it)
 *   0x3f001000  MAX_HANDLES entries of 8 bytes: { address of the vtable, 0 }
 *
 * The entry's address alone says which handle it stands for, so all entries are equal and all their pages are one frame. Both
 * frames are the same in all processes and read-only there.
 */

import { PROTECT_READ } from "../../interfaces/IMemory";
import type { HRESULT } from "../../interfaces/types";
import { allocateFrame, OWNER_KERNEL_HEAP, window } from "../memory/frames";
import { REGION_ONE_FRAME } from "../memory/regions";
import { mapRegion, type Space } from "../memory/space";
import { setCurrentIdInProcesses } from "../threads/scheduler";

declare function proxyPageSource(): usize;

export const PROXY_PAGE: usize = 0x3f000000;
export const PROXY_ENTRIES: usize = 0x3f001000;
/** Code address at which a method that a server thread runs returns: int 0x32. */
export const SERVER_RETURN_STUB: usize = 0x3f000810;
/** `ud2; ret` in that page: a call returns there that is to make a fault (objects/fault-handlers.ts). */
export const FAULT_STUB: usize = 0x3f000820;
/** Word of that page that holds the running thread's id. */
export const THREAD_ID_WORD: usize = 0x3f000ff0;
export const MAX_HANDLES: u32 = 8192;
export const PROXY_SIZE: u32 = 8;
/** Bits that the distance of an entry from the first may have. */
export const PROXY_OFFSETS: u32 = (MAX_HANDLES - 1) * PROXY_SIZE;
/** Methods that an interface may have: stubs of a proxy. */
export const MAX_METHODS: u32 = 64;

const PROXY_VTABLE: u32 = 0x3f000200;
const PAGE_CONTENTS: usize = 2096;

let stubFrame: u32 = 0;
let entryFrame: u32 = 0;

/** Makes the two frames, once at boot. False when memory is exhausted. */
export function createProxyFrames(): bool {
  stubFrame = allocateFrame(OWNER_KERNEL_HEAP);
  entryFrame = allocateFrame(OWNER_KERNEL_HEAP);
  if (stubFrame === 0 || entryFrame === 0) return false;
  memory.copy(window(stubFrame), proxyPageSource(), PAGE_CONTENTS);
  setCurrentIdInProcesses(window(stubFrame) + (THREAD_ID_WORD - PROXY_PAGE));
  const entries = window(entryFrame);
  for (let offset: usize = 0; offset < 4096; offset += PROXY_SIZE) store<u32>(entries + offset, PROXY_VTABLE);
  return true;
}

/** Gives a new space its proxies. */
export function mapProxies(space: Space): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, <u32>PROXY_PAGE);
  const result = mapRegion(space, address, 4096, PROTECT_READ, REGION_ONE_FRAME, window(stubFrame), 4096);
  if (result < 0) return result;
  store<u32>(address, <u32>PROXY_ENTRIES);
  return mapRegion(
    space,
    address,
    MAX_HANDLES * PROXY_SIZE,
    PROTECT_READ,
    REGION_ONE_FRAME,
    window(entryFrame),
    4096,
  );
}

/** The interface pointer that stands for a handle, in its process. */
export function proxyAddress(handle: u32): u32 {
  return <u32>PROXY_ENTRIES + handle * PROXY_SIZE;
}

/** The handle that an interface pointer of a process stands for; MAX_HANDLES or more if it is no proxy. */
export function handleOf(pointer: u32): u32 {
  const offset = pointer - <u32>PROXY_ENTRIES;
  return offset & (PROXY_SIZE - 1) ? 0xffffffff : offset / PROXY_SIZE;
}
