/** How stacks are used, for `ISystem`. */

import type { StackInfo } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE } from "../i386/layout";
import { frameCount, meanFrames, OWNER_KERNEL_STACKS, OWNER_USER_STACKS, peakFrames } from "../memory/frames";
import { trimmedUserPages } from "../memory/trim";
import { kernelStackFaults, trimmedPages } from "../threads/helper";
import { firstPages, stackPolicy } from "../threads/stack-policy";
import { deepestStack, kernelStackLimit, threadsOverTime } from "../threads/stacks";
import { USER_STACK_SIZE } from "../threads/thread";
import type { Process } from "./process";

export function describeStacks(caller: Process, address: usize): HRESULT {
  const info = changetype<StackInfo>(address);
  info.policy = stackPolicy();
  info.kernelFirst = firstPages();
  info.limit = caller.ownSpace ? USER_STACK_SIZE - <u32>PAGE : kernelStackLimit();
  info.kernelPages = frameCount(OWNER_KERNEL_STACKS);
  info.kernelPeak = peakFrames(OWNER_KERNEL_STACKS);
  info.kernelMean = meanFrames(OWNER_KERNEL_STACKS);
  info.kernelDeepest = deepestStack();
  info.kernelFaults = kernelStackFaults();
  info.kernelTrimmed = trimmedPages();
  info.userPages = frameCount(OWNER_USER_STACKS);
  info.userPeak = peakFrames(OWNER_USER_STACKS);
  info.userMean = meanFrames(OWNER_USER_STACKS);
  info.userTrimmed = trimmedUserPages();
  const flags = enterCritical();
  const threads = threadsOverTime();
  const mean = threads.mean();
  const now = threads.value;
  const peak = threads.peak;
  leaveCritical(flags);
  // The caller's memory may fault, which a critical section must not.
  info.threads = now;
  info.threadPeak = peak;
  info.threadMean = mean;
  return S_OK;
}
