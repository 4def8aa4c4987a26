/**
 * Trimming of user stacks (§5.3): what lies below the stack pointer of a thread that is not running is dead, and its pages are given
 * back like those of kernel stacks.
 *
 * The helper calls this, so no lock is taken: a space whose mutex is held is left for the next time, and with interrupts off nobody
 * takes it meanwhile.
 */

import { enterCritical, leaveCritical, PROBE_MARGIN } from "../i386/critical";
import { atKernelLevel } from "../i386/design";
import { PAGE, USER_DATA } from "../i386/layout";
import { removeTranslations } from "../i386/vtlb";
import type { Thread } from "../threads/thread";
import { dropPage } from "./commit";
import { nextResident } from "./frame-tree";
import { findRegion, REGION_STACK } from "./regions";

let trimmed: u32 = 0;

/** Pages of user stacks given back since boot. */
export function trimmedUserPages(): u32 {
  return trimmed;
}

/** The user stack pointer of a suspended thread; 0 when it has none now. */
function userStackPointer(thread: Thread): usize {
  if (!atKernelLevel(thread)) return thread.esp;
  if (thread.kernelStack === 0) return 0;
  // A trap from ring 3 left ss and esp at the top of the kernel stack.
  const top = thread.kernelStack;
  return load<u32>(top - 4) === USER_DATA ? load<u32>(top - 8) : 0;
}

/** Gives back the pages below the user stack pointer of a suspended thread, a margin excepted. In a critical section. */
export function trimUserStack(thread: Thread): void {
  const start = thread.userStack;
  if (start === 0 || thread.space.lock !== 0) return;
  const flags = enterCritical();
  const pointer = userStackPointer(thread);
  const region = findRegion(thread.space, start);
  if (region && region.kind === REGION_STACK && pointer > start && pointer <= start + region.size) {
    const tree = region.tree;
    const lowest = (pointer - PROBE_MARGIN) & ~(PAGE - 1);
    if (tree && lowest > start && lowest < pointer) {
      const end = region.offset + <u32>((lowest - start) >> 12);
      let index = nextResident(tree, region.offset, end);
      if (index < end) removeTranslations(thread.space.physical, start, lowest - start);
      for (; index < end; index = nextResident(tree, index + 1, end)) {
        dropPage(thread.space, tree, index);
        trimmed++;
      }
    }
  }
  leaveCritical(flags);
}
