/**
 * The end of a program or library in the kernel, as seen by those who hold its objects: no name and no handle leads to them any more. Direct pointers
 * of other programs in the kernel cannot be revoked: that is what sharing a space means.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { revokedCalls, revokeHandle } from "../calls/handles";
import { disconnectedObject } from "../calls/remote";
import { print, printNumber } from "../console";
import { disconnectRange } from "../i386/interrupts";
import { allocate, free } from "../memory/heap";
import { kernelSpace } from "../memory/space";
import { unmapOwned } from "../objects/memory";
import { lockProcesses, type Process, unlockProcesses } from "../objects/process";
import { unregisterRange } from "../objects/registry";
import { threadsInside } from "../threads/inside";
import { sleep } from "../threads/wait";
import {
  exportAddress,
  IMAGE_LEFT_BEHIND,
  imageOf,
  type LoadedImage,
  loadedLibrary,
  lockLoader,
  unlockLoader,
} from "./images";

/** How long the end of a program in the kernel waits for calls that are still inside it. */
const LEAVE_TIMEOUT: u32 = 2000;
const LEAVE_STEP: u32 = 5;

/** A reference to an object of an ending program, to be given back once no call is inside it. */
@unmanaged
class Revoked {
  next: Revoked | null = null;
  object: usize = 0;
}

/** A program in the kernel has ended. A call that stays inside too long keeps its image in the kernel, which is a leak but no crash. */
export function revokeObjects(process: Process): void {
  const image = imageOf(process);
  if (!image || departed(image, !process.faulted)) return;
  lockLoader();
  image.role = IMAGE_LEFT_BEHIND;
  image.program = null;
  unlockLoader();
}

/**
 * An image is about to leave the kernel: its interrupt handlers are called no more, names and handles of its objects lead nowhere from now on. Waits until no call is inside it, then
 * gives the objects' references back while their code is still there (unless a fault ended it, and it is not to be called: `whole` is false).
 * False, with a message, if calls stayed inside.
 */
export function departed(image: LoadedImage, whole: bool): bool {
  disconnectRange(image.start, image.start + image.size);
  unregisterRange(image.start, image.start + image.size);
  revokeHandlesOf(image);
  let busy = callsInside(image);
  for (let waited: u32 = 0; busy !== 0 && waited < LEAVE_TIMEOUT; waited += LEAVE_STEP) {
    sleep(LEAVE_STEP);
    busy = callsInside(image);
  }
  let revoked = changetype<Revoked | null>(image.revoked);
  image.revoked = 0;
  while (revoked) {
    const next = revoked.next;
    if (busy === 0 && whole) changetype<IUnknown>(revoked.object).release();
    free(changetype<usize>(revoked));
    revoked = next;
  }
  if (busy === 0) {
    if (image.program) reclaimMemory(image);
    return true;
  }
  print(text("loader: "));
  print(image.file.name);
  print(text(" stays in the kernel, calls inside it: "));
  printNumber(busy);
  print(text("\n"));
  return false;
}

/** Makes every call of an object whose code is in the program's image answer E_DISCONNECTED from now on. */
export function revokeHandles(program: Process): void {
  const image = imageOf(program);
  if (image) revokeHandlesOf(image);
}

function revokeHandlesOf(image: LoadedImage): void {
  const from = stackAlloc(4);
  for (let process = lockProcesses(); process; process = process!.next) {
    if (!process.ownSpace) continue;
    store<u32>(from, 0);
    for (;;) {
      const end = image.start + image.size;
      const object = revokeHandle(process.handles, image.start, end, disconnectedObject(), from);
      if (object === 0) break;
      const entry = changetype<Revoked | null>(allocate(offsetof<Revoked>()));
      // Without memory the object is not told; its program's heap keeps it.
      if (!entry) continue;
      entry.object = object;
      entry.next = changetype<Revoked | null>(image.revoked);
      image.revoked = changetype<usize>(entry);
    }
  }
  unlockProcesses();
}

/** Frees what the image's code had in the heap that programs in the kernel share (lib/rt/heap.ts), and its regions. */
function reclaimMemory(image: LoadedImage): void {
  const end = image.start + image.size;
  lockLoader();
  const library = loadedLibrary(kernelSpace(), text("rt"));
  const reclaimBlocks = library ? exportAddress(library, text("reclaimBlocks")) : 0;
  unlockLoader();
  if (reclaimBlocks !== 0) call_indirect<void>(<u32>reclaimBlocks, image.start, end);
  unmapOwned(image.start, end);
}

/** Calls of processes and of other programs in the kernel that are inside the image. */
function callsInside(image: LoadedImage): u32 {
  const program = image.program;
  const entered = program ? program.callsInside : 0;
  return callsInRevoked() + entered + threadsInside(image.start, image.start + image.size);
}

function callsInRevoked(): u32 {
  let busy: u32 = 0;
  for (let process = lockProcesses(); process; process = process!.next) {
    if (process.ownSpace) busy += revokedCalls(process.handles);
  }
  unlockProcesses();
  return busy;
}
