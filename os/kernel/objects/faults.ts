/**
 * Faults of programs: what a fault is called, whose it is, and what ends with it.
 *
 * A fault in a process ends the process. One in the code of a program in the kernel ends that program; a thread of a process that
 * was calling it gets E_DISCONNECTED from the call and goes on. The exit code is E_POINTER for a fault of memory or protection, E_FAIL for any
 * other. Code of the kernel itself never comes here: the lower half panics.
 */

import { E_DISCONNECTED, E_FAIL, E_OUTOFMEMORY, E_POINTER } from "../../interfaces/results";
import { leaveVisits, type Visit, visitTo } from "../calls/doors";
import { panic, print, printHexadecimal, printNumber } from "../console";
import { VECTOR_EXHAUSTED, VECTOR_PAGE_FAULT } from "../i386/layout";
import { revokeHandles } from "../loader/departure";
import { imageAt, type LoadedImage, ownerOfImage } from "../loader/images";
import { kernelSpace } from "../memory/space";
import { exitThread, type Thread } from "../threads/thread";
import { demoteService } from "./moving";
import { endProgram, kernelProcess, type Process } from "./process";
import { isReaper, startReaper } from "./reaper";
import type { ThreadObject } from "./threads";

declare function abandonInvoke(guard: usize, result: i32): void;

const FAULT_WRITE: u32 = 2;
const FIRST_MEMORY_VECTOR: u32 = 10;

function vectorName(vector: u32): usize {
  switch (vector) {
    case 0:
      return text("divide error");
    case 1:
      return text("debug exception");
    case 3:
      return text("breakpoint");
    case 4:
      return text("overflow");
    case 5:
      return text("bound exceeded");
    case 6:
      return text("invalid instruction");
    case 7:
      return text("no floating-point unit");
    case 10:
      return text("invalid task state");
    case 11:
      return text("segment not present");
    case 12:
      return text("stack fault");
    case 13:
      return text("general protection fault");
    case 16:
      return text("floating-point error");
    case 17:
      return text("alignment check");
    default:
      return text("exception");
  }
}

/** The user address was bad that a thread passed to the kernel: its access went to the scratch page (§5.1.1). */
export function raisePendingFault(thread: Thread): void {
  const address = thread.pendingFault;
  thread.pendingFault = 0;
  const object = changetype<ThreadObject>(thread.call);
  report(object.process, thread, object.process);
  print(text("bad pointer "));
  printHexadecimal(address);
  print(text(" passed in a call\n"));
  endProgram(object.process, E_POINTER);
  exitThread(<u32>E_POINTER);
}

/** Ends the program whose code faulted; `address` is what a page fault was about. Does not return. */
export function raiseFault(
  thread: Thread,
  vector: u32,
  error: u32,
  address: usize,
  instruction: usize,
): void {
  const object = changetype<ThreadObject | null>(thread.call);
  if (!object) panic(text("fault on a thread without a program"));
  const process = object!.process;
  const inModule = process.ownSpace !== 0 && object!.guardStack !== 0;
  const image = imageAt(inModule ? kernelSpace() : process.space, instruction);
  const culprit = inModule || !process.ownSpace ? culpritInKernel(object!, image) : process;
  report(culprit, thread, process);
  describe(vector, error, address, instruction, image);
  const code: i32 =
    vector === VECTOR_EXHAUSTED
      ? E_OUTOFMEMORY
      : vector >= FIRST_MEMORY_VECTOR && vector <= VECTOR_PAGE_FAULT
        ? E_POINTER
        : E_FAIL;
  if (culprit === kernelProcess()) panic(text("fault in code that no program in the kernel owns"));
  culprit.faulted = 1;
  if (!culprit.ownSpace) demoteService(culprit);
  endProgram(culprit, code);
  if (!culprit.ownSpace) revokeHandles(culprit);
  const visit = visitTo(object!, culprit);
  if (!culprit.ownSpace && culprit !== process && visit !== 0) {
    leaveVisits(object!, visit);
    abandonInvoke(visit, E_DISCONNECTED);
  }
  if (inModule && culprit !== process) {
    leaveVisits(object!, 0);
    abandonInvoke(changetype<usize>(object) + offsetof<ThreadObject>("guard"), E_DISCONNECTED);
  }
  // A thread that was inside somebody else's module has frames there, so it cannot go on.
  if (isReaper(thread)) startReaper();
  else if (process !== culprit) endProgram(process, E_DISCONNECTED);
  exitThread(<u32>code);
}

/** The program in the kernel that a fault is to end: the owner of the code; if a library faulted, whoever was called. */
function culpritInKernel(object: ThreadObject, image: LoadedImage | null): Process {
  if (image) {
    const owner = ownerOfImage(image);
    if (owner) return owner;
  }
  if (object.visits !== 0) return changetype<Visit>(object.visits).process;
  if (object.process.ownSpace) {
    const called = imageAt(kernelSpace(), object.guardVtable);
    const owner = called ? ownerOfImage(called) : null;
    if (owner) return owner;
  }
  return object.process;
}

function report(culprit: Process, thread: Thread, process: Process): void {
  print(text("fault: "));
  print(culprit.name);
  print(text(", process "));
  printNumber(culprit.id);
  print(text(", thread "));
  printNumber(thread.id);
  if (culprit !== process) {
    print(text(", called by "));
    print(process.name);
    print(text(", process "));
    printNumber(process.id);
  }
  print(text(": "));
}

function describe(
  vector: u32,
  error: u32,
  address: usize,
  instruction: usize,
  image: LoadedImage | null,
): void {
  if (vector === VECTOR_PAGE_FAULT) {
    print(error & FAULT_WRITE ? text("page fault writing ") : text("page fault reading "));
    printHexadecimal(<u32>address);
  } else if (vector === VECTOR_EXHAUSTED) {
    print(text("out of memory touching "));
    printHexadecimal(<u32>address);
  } else print(vectorName(vector));
  print(text(" at "));
  printHexadecimal(<u32>instruction);
  if (image) {
    print(text(" ("));
    print(image.file.name);
    print(text(" + "));
    printHexadecimal(<u32>(instruction - image.start));
    print(text(")"));
  }
  print(text("\n"));
}
