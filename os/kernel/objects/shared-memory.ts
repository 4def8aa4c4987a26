/**
 * `ISharedMemory`: a memory object by reference. The object and every region that maps it hold the tree of its frames
 * (memory/frame-tree.ts); whoever lets go last gives the frames back.
 */

import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import { E_DISCONNECTED, E_INVALIDARG, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT, Out, u32 } from "../../interfaces/types";
import { PAGE } from "../i386/layout";
import { createTree, type FrameTree, releaseTree } from "../memory/frame-tree";
import { REGION_SHARED } from "../memory/regions";
import { mapRegion } from "../memory/space";
import { leaveSpace, type Process, visitSpace } from "./process";

/** No space has room for more. */
const MOST: u32 = 0x40000000;

/** The vtable by which own objects are told from others that have the interface. */
let ownVtable: usize = 0;

@unmanaged
export class SharedMemory extends ComObject implements ISharedMemory {
  tree: FrameTree = changetype<FrameTree>(0);

  size(bytes: Out<u32>): HRESULT {
    store<u32>(bytes, this.tree.pages << 12);
    return S_OK;
  }
  resident(pages: Out<u32>): HRESULT {
    store<u32>(pages, this.tree.resident);
    return S_OK;
  }
  finish(): void {
    if (changetype<usize>(this.tree) !== 0) releaseTree(this.tree);
  }
}

export function shareMemory(size: u32, out: usize): HRESULT {
  if (size === 0 || size > MOST) return E_INVALIDARG;
  const object = newObject<SharedMemory>();
  if (!object) return E_OUTOFMEMORY;
  const tree = createTree((size + <u32>PAGE - 1) >> 12);
  if (!tree) {
    object.release();
    return E_OUTOFMEMORY;
  }
  object.tree = tree;
  const pointer = changetype<usize>(interfaceOf<ISharedMemory>(object));
  ownVtable = load<usize>(pointer);
  store<usize>(out, pointer);
  return S_OK;
}

export function mapSharedMemory(process: Process, object: usize, address: usize, protection: u32): HRESULT {
  if (object === 0 || ownVtable === 0 || load<usize>(object) !== ownVtable) return E_INVALIDARG;
  const tree = changetype<SharedMemory>(object).tree;
  // The word is the caller's and may change at any time; it is read and written once.
  const wanted = stackAlloc(4);
  store<u32>(wanted, load<u32>(address));
  if (!visitSpace(process)) return E_DISCONNECTED;
  const size = tree.pages << 12;
  const result = mapRegion(
    process.space,
    wanted,
    size,
    protection,
    REGION_SHARED,
    changetype<usize>(tree),
    size,
  );
  leaveSpace(process);
  if (result >= 0) store<u32>(address, load<u32>(wanted));
  return result;
}
