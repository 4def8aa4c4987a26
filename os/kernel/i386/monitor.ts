/**
 * The machine's monitor port (machine/src/devices/monitor.ts): marks of phases, the kernel's counters, the end of the run.
 * Other machines do not have it and read its identification as all ones: there this file does nothing.
 *
 * Names of counters are stable; `rialto boot --help` and cli/src/statistics-file.ts say what they mean.
 */

import { pagesCopied } from "../memory/commit";
import {
  frameCount,
  freeFrames,
  meanFrames,
  OWNER_ANONYMOUS,
  OWNER_BOOT_ARCHIVE,
  OWNER_IMAGE_CODE,
  OWNER_IMAGE_DATA,
  OWNER_KERNEL_HEAP,
  OWNER_KERNEL_IMAGE,
  OWNER_KERNEL_STACKS,
  OWNER_PAGE_TABLES,
  OWNER_STACK_TABLES,
  OWNER_USER_STACKS,
  peakFrames,
  peakInUse,
  restartPeak,
  totalFrames,
} from "../memory/frames";
import { scratchHits } from "../memory/scratch";
import { trimmedUserPages } from "../memory/trim";
import { LIVE_KINDS, liveCount, liveCountName } from "../objects/live";
import { kernelStackFaults, trimmedPages } from "../threads/helper";
import { threadSwitches } from "../threads/scheduler";
import { stackPolicy } from "../threads/stack-policy";
import { deepestStack, kernelStackLimit, threadsOverTime } from "../threads/stacks";
import { enterCritical, leaveCritical } from "./critical";
import { vtlbBound, vtlbEvictions, vtlbRefills, vtlbTables } from "./vtlb";

const PORT: u32 = 0x8e00;
const MARK: u32 = PORT + 0x04;
const END: u32 = PORT + 0x08;
const NAME: u32 = PORT + 0x0c;
const COUNTER: u32 = PORT + 0x14;
const RESUME: u32 = PORT + 0x18;
const IDENTIFICATION: u32 = 0x4f544c52;

export function hasMonitor(): bool {
  return portIn32(PORT) === IDENTIFICATION;
}

function publish(name: usize, value: u32): void {
  for (let at = name; load<u8>(at) !== 0; at++) portOut32(NAME, load<u8>(at));
  portOut32(COUNTER, value);
}

function publishFrames(): void {
  publish(text("pages.total"), totalFrames());
  publish(text("pages.free"), freeFrames());
  publish(text("pages.peakInUse"), peakInUse());
  publish(text("pages.kernelImage"), frameCount(OWNER_KERNEL_IMAGE));
  publish(text("pages.kernelHeap"), frameCount(OWNER_KERNEL_HEAP));
  publish(text("pages.bootArchive"), frameCount(OWNER_BOOT_ARCHIVE));
  publish(text("pages.pageTables"), frameCount(OWNER_PAGE_TABLES) + frameCount(OWNER_STACK_TABLES));
  publish(text("pages.imageCode"), frameCount(OWNER_IMAGE_CODE));
  publish(text("pages.imageData"), frameCount(OWNER_IMAGE_DATA));
  publish(text("pages.anonymous"), frameCount(OWNER_ANONYMOUS));
  publish(text("stacks.kernel.now"), frameCount(OWNER_KERNEL_STACKS));
  publish(text("stacks.kernel.peak"), peakFrames(OWNER_KERNEL_STACKS));
  publish(text("stacks.kernel.meanThousandths"), meanFrames(OWNER_KERNEL_STACKS));
  publish(text("stacks.user.now"), frameCount(OWNER_USER_STACKS));
  publish(text("stacks.user.peak"), peakFrames(OWNER_USER_STACKS));
  publish(text("stacks.user.meanThousandths"), meanFrames(OWNER_USER_STACKS));
}

/** Tells every counter. In a critical section, so that they belong to one moment and names do not mix. */
function publishCounters(): void {
  publishFrames();
  publish(text("stacks.policy"), stackPolicy());
  publish(text("stacks.kernel.deepest"), deepestStack());
  publish(text("stacks.kernel.limit"), kernelStackLimit());
  publish(text("stacks.kernel.faults"), kernelStackFaults());
  publish(text("stacks.kernel.trimmed"), trimmedPages());
  const threads = threadsOverTime();
  publish(text("threads.now"), threads.value);
  publish(text("threads.peak"), threads.peak);
  publish(text("threads.meanThousandths"), threads.mean());
  publish(text("threads.switches"), threadSwitches());
  publish(text("stacks.user.trimmed"), trimmedUserPages());
  publish(text("scratch.hits"), scratchHits());
  publish(text("vtlb.bound"), vtlbBound());
  publish(text("vtlb.tables"), vtlbTables());
  publish(text("vtlb.evictions"), vtlbEvictions());
  publish(text("vtlb.refills"), vtlbRefills());
  publish(text("pages.copied"), pagesCopied());
  for (let kind: u32 = 0; kind < LIVE_KINDS; kind++) publish(liveCountName(kind), liveCount(kind));
}

/** Marks the end of one phase and the start of the next; the peak of pages in use starts anew with each. */
export function markPhase(phase: u32): void {
  if (!hasMonitor()) return;
  const flags = enterCritical();
  portOut32(MARK, phase);
  publishCounters();
  restartPeak();
  portOut32(RESUME, 0);
  leaveCritical(flags);
}

/** Tells the counters a last time and ends the run with an exit status of 0 to 255. Returns where there is no monitor. */
export function endRun(status: u32): void {
  if (!hasMonitor()) return;
  const flags = enterCritical();
  publishCounters();
  portOut32(END, status > 255 ? 255 : status);
  leaveCritical(flags);
}
