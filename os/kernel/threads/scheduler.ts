/**
 * The scheduler: 32 priorities, round robin within one. Everything here runs at ring 0 with interrupts off.
 *
 * A context switch changes `current` and what belongs to the processor: task state, address space, scratch page, floating
 * point. Registers need no copying, since traps push them into the thread's record.
 */

import { panic } from "../epitaph";
import { atKernelLevel } from "../i386/design";
import { setFirstLevelFrame, setSpareStack } from "../i386/processor";
import { setTaskDirectory } from "../i386/tasks";
import { clearScratch, scratchInUse } from "../memory/scratch";
import { kernelSpace } from "../memory/space";
import { dedicatedStacks } from "./stack-policy";
import { giveStack, STACK_SLOT, takeStack } from "./stacks";
import {
  CANCELLED_BY_FORCE,
  THREAD_DEAD,
  THREAD_READY,
  THREAD_RUNNING,
  THREAD_STACK_FAULT,
  THREAD_WAITING,
  type Thread,
} from "./thread";
import { dequeueWaiter, enqueueWaiter, headOf, setLockOwner } from "./wait-queues";

declare function idleWait(): void;
declare function setTaskSwitched(): void;
declare function clearTaskSwitched(): void;
declare function saveFloatingPoint(area: usize): void;
declare function restoreFloatingPoint(area: usize): void;

/** Milliseconds a thread runs before others of its priority get their turn. */
const QUANTUM: u32 = 10;
/** Ticks after which the time of a thread that keeps running is counted: less than 2^32 cycles at any frequency. */
const COUNT_TICKS: u32 = 256;
/** Bytes of the saved context at the start of a record. */
const CONTEXT_SIZE: usize = 68;

/** The running thread's record; entry code reads it. */
export let current: usize = 0;
/** Stands for `current` until there are threads. */
const bootRecord: usize = memory.data(512, 16);
/** A dispatch is due: something more urgent became ready, or the quantum is over. */
let reschedule: bool = false;
/** Bit p: the queue of priority p is not empty. */
let readyMask: u32 = 0;
const readyQueues: usize = memory.data(128, 16);
/** The address space whose directory is loaded. */
let loadedDirectory: u32 = 0;
/** The thread whose registers are in the floating-point unit. */
let floatingPointOwner: usize = 0;
let taskSwitched: bool = false;
/** Low word of the time stamp when the running thread's time was last counted: at every switch, and so often besides that a word is enough. */
let countedAt: u32 = 0;
let switches: u32 = 0;

export function threadSwitches(): u32 {
  return switches;
}

/** Puts a thread at the end (or, when preempted, the front) of its priority's queue. */
export function makeReady(thread: Thread): void {
  thread.state = THREAD_READY;
  const slot = readyQueues + thread.priority * 4;
  const first = changetype<Thread | null>(load<usize>(slot));
  if (!first) {
    thread.next = thread;
    thread.previous = thread;
    store<usize>(slot, changetype<usize>(thread));
    readyMask |= 1 << thread.priority;
  } else {
    const last = first.previous!;
    thread.next = first;
    thread.previous = last;
    last.next = thread;
    first.previous = thread;
  }
  if (thread.priority > changetype<Thread>(current).priority) reschedule = true;
}

/** Takes a ready thread out of its queue. */
export function removeReady(thread: Thread): void {
  const slot = readyQueues + thread.priority * 4;
  if (thread.next === thread) {
    store<usize>(slot, 0);
    readyMask &= ~(1 << thread.priority);
  } else {
    thread.previous!.next = thread.next;
    thread.next!.previous = thread.previous;
    if (load<usize>(slot) === changetype<usize>(thread)) store<usize>(slot, changetype<usize>(thread.next));
  }
}

/** Takes the ready thread of a priority whose turn it is; there is one. */
function takeFirst(priority: u32): Thread {
  const slot = readyQueues + priority * 4;
  const thread = changetype<Thread>(load<usize>(slot));
  const next = thread.next!;
  if (next === thread) {
    store<usize>(slot, 0);
    readyMask &= ~(1 << priority);
  } else {
    store<usize>(slot, changetype<usize>(next));
    const last = thread.previous!;
    last.next = next;
    next.previous = last;
  }
  return thread;
}

/** The most urgent priority that has a ready thread; there is one. */
function highestReady(): u32 {
  return 31 - <u32>clz<u32>(readyMask);
}

/** Gives a thread another priority to run with, wherever it stands. */
export function changeEffectivePriority(thread: Thread, priority: u32): void {
  if (thread.state === THREAD_READY) {
    removeReady(thread);
    thread.priority = priority;
    makeReady(thread);
  } else if (thread.state === THREAD_WAITING) {
    const owner = headOf(thread).lockOwner;
    dequeueWaiter(thread);
    thread.priority = priority;
    enqueueWaiter(thread, thread.waitKey);
    if (owner) setLockOwner(headOf(thread), owner);
  } else {
    thread.priority = priority;
  }
  reschedule = true;
}

export function requestDispatch(): void {
  reschedule = true;
}

export function dispatchIsDue(): bool {
  return reschedule;
}

/** One millisecond of the running thread is over, the `tick`-th since boot. */
export function chargeTick(tick: u32): void {
  const thread = changetype<Thread>(current);
  if (thread.state !== THREAD_RUNNING) return;
  if ((tick & (COUNT_TICKS - 1)) === 0) countTime(thread, <u32>timeStamp());
  if (thread.cancelled !== 0 && thread.cancelled !== CANCELLED_BY_FORCE) thread.cancelled++;
  if (thread.quantum > 0) thread.quantum--;
  if (thread.quantum === 0) reschedule = true;
}

/** Decides who runs next and makes it current. Waits with interrupts on when nobody can. */
export function dispatch(): void {
  const running = changetype<Thread>(current);
  if (running.state === THREAD_RUNNING) {
    if (!reschedule) return;
    reschedule = false;
    if (readyMask === 0 || highestReady() < running.priority) {
      running.quantum = QUANTUM;
      return;
    }
    makeReady(running);
  }
  if (readyMask === 0) idle();
  reschedule = false;
  const next = takeFirst(highestReady());
  next.state = THREAD_RUNNING;
  next.quantum = QUANTUM;
  // One that parked and was unparked before anybody else could run needs its new stack.
  if (next !== running || next.esp === 0) switchTo(running, next);
}

/** Nobody can run: waits for an interrupt that makes a thread ready. The time belongs to no thread. */
function idle(): void {
  countTime(changetype<Thread>(current), <u32>timeStamp());
  while (readyMask === 0) idleWait();
  countedAt = <u32>timeStamp();
}

/** Is somebody ready who is more urgent than `thread`? */
export function isOutranked(thread: Thread): bool {
  return readyMask >> thread.priority > 1;
}

/** The running thread waits or has parked, and `next`, which is in no queue, takes over what is left of its turn. */
export function handOver(thread: Thread, next: Thread): void {
  next.state = THREAD_RUNNING;
  next.quantum = thread.quantum;
  switchTo(thread, next);
}

/** Counts the time of the running thread until `now`, the low word of the time stamp. */
function countTime(thread: Thread, now: u32): void {
  thread.cycles += now - countedAt;
  countedAt = now;
}

/** Hands the processor from the running thread to `next`. */
function switchTo(running: Thread, next: Thread): void {
  countTime(running, <u32>timeStamp());
  switches++;
  leaveStack(running);
  if (scratchInUse()) clearScratch();
  loadSpace(next);
  if (dedicatedStacks()) nameSpare(next.kernelStack);
  if (next.esp === 0 && atKernelLevel(next)) giveFirstStack(next);
  setFirstLevelFrame(changetype<usize>(next) + CONTEXT_SIZE);
  if (floatingPointOwner === changetype<usize>(next)) {
    if (taskSwitched) clearTaskSwitched();
    taskSwitched = false;
  } else if (!taskSwitched) {
    setTaskSwitched();
    taskSwitched = true;
  }
  setCurrent(next);
}

/** The id of the running thread, where programs in the kernel and, through the window, those in processes can read it. */
const currentId: usize = memory.data(4, 16);
let currentIdInProcesses: usize = 0;

function setCurrent(thread: Thread): void {
  const id = thread.id;
  current = changetype<usize>(thread);
  store<u32>(currentId, id);
  store<u32>(currentIdInProcesses, id);
}

/** Kernel address of the word that holds the running thread's id. */
export function currentIdAddress(): usize {
  return currentId;
}

/** Window address of the word that processes see at their fixed address. */
export function setCurrentIdInProcesses(address: usize): void {
  currentIdInProcesses = address;
  store<u32>(address, load<u32>(currentId));
}

/** Top of the spare stack, on which traps from ring 3 to kernel level land. */
let spareTop: usize = 0;

/**
 * A thread that leaves the processor at kernel level keeps the stack that it is on; at ring 3, parked or dead it needs none. What it had kept
 * before becomes the spare one. A dedicated stack stays the thread's to its end.
 */
function leaveStack(thread: Thread): void {
  const kept = thread.kernelStack;
  const pointer = thread.esp;
  if (pointer === 0 || !atKernelLevel(thread)) {
    if (kept === 0 || (dedicatedStacks() && thread.state !== THREAD_DEAD)) return;
    giveStack(kept);
    thread.kernelStack = 0;
    return;
  }
  // After a stack fault the pointer may have left the slot; the fault is at its first missing page.
  const at: usize = thread.state === THREAD_STACK_FAULT ? thread.faultAddress : pointer - 1;
  if (spareTop - at <= STACK_SLOT) {
    thread.kernelStack = spareTop;
    nameSpare(kept !== 0 ? kept : newSpare());
  } else if (kept - at > STACK_SLOT) {
    panic(text("a thread left kernel level with its stack pointer outside of its stack"));
  }
}

function newSpare(): usize {
  const top = takeStack();
  if (top === 0) panic(text("no memory for the spare kernel stack"));
  return top;
}

/** Names the stack for the next trap from ring 3 to kernel level. */
function nameSpare(top: usize): void {
  spareTop = top;
  setSpareStack(top);
}

/** A thread that starts (or goes on after parking) at kernel level does so on the spare stack, with its argument and return address. */
function giveFirstStack(thread: Thread): void {
  const top = spareTop - 16;
  store<u32>(top, thread.edx);
  store<u32>(top, thread.ecx, 4);
  // Where a trap from ring 3 would have left its stack pointer (memory/trim.ts).
  store<u32>(top, 0, 12);
  thread.esp = <u32>top;
}

/** Threads in the kernel run in whatever directory is loaded: its kernel half is the same in all. */
function loadSpace(thread: Thread): void {
  if (thread.space === kernelSpace() || thread.space.physical === loadedDirectory) return;
  loadDirectory(thread.space.physical);
}

function loadDirectory(directory: u32): void {
  loadedDirectory = directory;
  setTaskDirectory(directory);
  writeControl3(directory);
}

export function currentDirectory(): u32 {
  return loadedDirectory;
}

/** Loads the kernel's own directory if `directory` is the loaded one. */
export function leaveDirectory(directory: u32): void {
  if (loadedDirectory !== directory) return;
  loadDirectory(kernelSpace().physical);
}

/** #NM: the floating-point unit holds another thread's registers. */
export function switchFloatingPoint(): void {
  clearTaskSwitched();
  taskSwitched = false;
  if (floatingPointOwner === current) return;
  if (floatingPointOwner !== 0) saveFloatingPoint(changetype<Thread>(floatingPointOwner).floatingPoint);
  restoreFloatingPoint(changetype<Thread>(current).floatingPoint);
  floatingPointOwner = current;
}

/** A thread's record is about to go. */
export function forgetFloatingPoint(thread: Thread): void {
  if (floatingPointOwner === changetype<usize>(thread)) floatingPointOwner = 0;
}

/** Before the first thread is made. */
export function initialiseScheduler(): void {
  current = bootRecord;
  currentIdInProcesses = currentId;
}

/** Makes `thread` the first one, at boot. */
export function startWith(thread: Thread): void {
  removeReady(thread);
  thread.state = THREAD_RUNNING;
  thread.quantum = QUANTUM;
  loadDirectory(kernelSpace().physical);
  countedAt = <u32>timeStamp();
  if (!dedicatedStacks()) nameSpare(newSpare());
  switchTo(changetype<Thread>(current), thread);
}
