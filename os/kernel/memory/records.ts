/**
 * Records that first-level code reaches while no page table may be at hand: thread records, into which the processor pushes its
 * frames, and spaces, whose list leads to all page directories. They lie in the window on physical memory, which large pages map,
 * so they can never fault, whatever the VTLB has evicted.
 *
 *   page:  { used, first free record, next page, previous page } 16 bytes | records of one size
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE, WINDOW_START } from "../i386/layout";
import { allocateFrame, OWNER_KERNEL_HEAP, releaseFrame, window } from "./frames";

@unmanaged
class RecordPage {
  used: u32 = 0;
  free: usize = 0;
  /** Pages of the pool with free records. */
  next: RecordPage | null = null;
  previous: RecordPage | null = null;
}
const HEADER: usize = 16;

/** Records of one size, which is a multiple of 16. */
@unmanaged
export class RecordPool {
  size: usize = 0;
  first: RecordPage | null = null;
}

/** A zeroed record; 0 when memory is exhausted. */
export function takeRecord(pool: RecordPool): usize {
  const flags = enterCritical();
  let page = pool.first;
  if (!page) {
    page = makePage(pool);
    if (!page) {
      leaveCritical(flags);
      return 0;
    }
  }
  const record = page.free;
  page.free = load<usize>(record);
  page.used++;
  if (page.free === 0) unlink(pool, page);
  leaveCritical(flags);
  memory.fill(record, 0, pool.size);
  return record;
}

export function giveRecord(pool: RecordPool, record: usize): void {
  const flags = enterCritical();
  const page = changetype<RecordPage>(record & ~(PAGE - 1));
  if (page.free === 0) link(pool, page);
  store<usize>(record, page.free);
  page.free = record;
  if (--page.used === 0) {
    unlink(pool, page);
    releaseFrame(<u32>(changetype<usize>(page) - WINDOW_START));
  }
  leaveCritical(flags);
}

function makePage(pool: RecordPool): RecordPage | null {
  const frame = allocateFrame(OWNER_KERNEL_HEAP);
  if (frame === 0) return null;
  const page = changetype<RecordPage>(window(frame));
  const size = pool.size;
  for (let at = HEADER; at + size <= PAGE; at += size) {
    const record = changetype<usize>(page) + at;
    store<usize>(record, page.free);
    page.free = record;
  }
  link(pool, page);
  return page;
}

function link(pool: RecordPool, page: RecordPage): void {
  const first = pool.first;
  page.next = first;
  page.previous = null;
  if (first) first.previous = page;
  pool.first = page;
}

function unlink(pool: RecordPool, page: RecordPage): void {
  const next = page.next;
  const previous = page.previous;
  if (previous) previous.next = next;
  else pool.first = next;
  if (next) next.previous = previous;
}
