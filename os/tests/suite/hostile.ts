/**
 * Hostile programs, one abuse a case (os/tests/abuse), each in a process of its own: it ends with a fault, or gets an error, and a bystander that
 * runs all the while never sees a wrong sum. The instructions are given as bytes, with what they are beside them.
 */

import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import { E_CANCELLED, E_POINTER, S_OK } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { expectAbuse, runToEnd } from "./servers";

/** How an abuse ends: by a fault; by coming back unharmed; either way, where the processor decides. */
const FAULTS: u32 = 0;
const RETURNS: u32 = 1;
const ENDS: u32 = 2;

let currentArguments: usize = 0;
let currentEnd: u32 = 0;
let bystander: IProcess = changetype<IProcess>(0);
let bystanderCycles: u64 = 0;

function cyclesOf(process: IProcess): u64 {
  const word = stackAlloc(4);
  const info = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  process.identity(word);
  for (let index: u32 = 0; systemObject().processInfo(index, changetype<usize>(info)) === S_OK; index++)
    if (info.id === load<u32>(word)) return info.cycles;
  return 0;
}

/** Starts the program beside which everything hostile runs. */
export function startBystander(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().run(text("abuse"), text("bystander"), PLACE_PROCESS, word) !== S_OK) return;
  bystander = changetype<IProcess>(load<usize>(word));
  sleep(50);
  bystanderCycles = cyclesOf(bystander);
}

/** It must have gone on computing, and found nothing wrong, or it would have ended by itself. */
function bystanderUnharmed(): void {
  const word = stackAlloc(4);
  if (!expect(changetype<usize>(bystander) !== 0, text("there is no bystander"))) return;
  expect(cyclesOf(bystander) > bystanderCycles, text("the bystander stands still or has ended"));
  bystander.kill();
  expectEqual(bystander.wait(word), S_OK, text("result of waiting for the bystander"));
  expectEqual(load<u32>(word), E_CANCELLED, text("exit code of the bystander"));
  bystander.release();
  startBystander();
}

/** Ends it; `name` is that of the case that looks whether it is well. */
export function stopBystander(name: usize): void {
  const word = stackAlloc(4);
  runCase(name, functionAddress(bystanderUnharmed));
  bystander.kill();
  bystander.wait(word);
  bystander.release();
}

function runCurrent(): void {
  const code = stackAlloc(4);
  store<u32>(code, 0);
  if (!expectEqual(runToEnd(text("abuse"), currentArguments, code), S_OK, text("result of run"))) return;
  if (currentEnd === RETURNS) expectEqual(load<u32>(code), 0, text("exit code"));
  else if (currentEnd === FAULTS) expect(<i32>load<u32>(code) < 0, text("no fault ended the program"));
}

function abuse(name: usize, args: usize, end: u32): void {
  currentArguments = args;
  currentEnd = end;
  runCase(name, functionAddress(runCurrent));
}

/** "execute cdNN" for every vector that is not a system call's. */
function allInterrupts(): void {
  const args = stackAlloc(16);
  const code = stackAlloc(4);
  memory.copy(args, text("execute cd00"), 13);
  for (let vector: u32 = 0; vector < 256; vector += vector < 0x34 ? 1 : 29) {
    if (vector === 0x30 || vector === 0x31) continue;
    store<u8>(args + 10, hexadecimal(vector >> 4));
    store<u8>(args + 11, hexadecimal(vector & 15));
    if (!expectEqual(runToEnd(text("abuse"), args, code), S_OK, text("result of run"))) return;
    if (<i32>load<u32>(code) < 0) continue;
    expectEqual(vector, 0xffffffff, text("a vector that ended no program"));
  }
}

function hexadecimal(digit: u32): u8 {
  return <u8>(digit < 10 ? 48 + digit : 87 + digit);
}

/** The same stack hog in the kernel ends as it does in a process. */
function stackHogInKernel(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("overflow-stack"), PLACE_KERNEL, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return;
  const process = changetype<IProcess>(load<usize>(word));
  process.wait(word);
  process.release();
  expectEqual(load<u32>(word), E_POINTER, text("exit code"));
}

function privilegedInstructions(): void {
  abuse(text("ring3-cli"), text("execute fa"), FAULTS);
  abuse(text("ring3-sti"), text("execute fb"), FAULTS);
  abuse(text("ring3-cli-with-iopl-3"), text("execute 9c810c24003000009dfa"), FAULTS);
  abuse(text("ring3-in"), text("execute e421"), FAULTS);
  abuse(text("ring3-out"), text("execute e621"), FAULTS);
  abuse(text("ring3-ins"), text("execute 6c"), FAULTS);
  abuse(text("ring3-mov-to-cr0"), text("execute 0f22c0"), FAULTS);
  abuse(text("ring3-mov-to-cr3"), text("execute 0f22d8"), FAULTS);
  abuse(text("ring3-mov-from-cr3"), text("execute 0f20d8"), FAULTS);
  abuse(text("ring3-mov-to-dr7"), text("execute 0f23f8"), FAULTS);
  abuse(text("ring3-mov-from-dr6"), text("execute 0f21f0"), FAULTS);
  abuse(text("ring3-lgdt"), text("execute 0f011424"), FAULTS);
  abuse(text("ring3-lidt"), text("execute 0f011c24"), FAULTS);
  abuse(text("ring3-lldt"), text("execute 31c00f00d0"), FAULTS);
  abuse(text("ring3-ltr"), text("execute b8380000000f00d8"), FAULTS);
  abuse(text("ring3-lmsw"), text("execute 0f01f0"), FAULTS);
  abuse(text("ring3-clts"), text("execute 0f06"), FAULTS);
  abuse(text("ring3-invd"), text("execute 0f08"), FAULTS);
  abuse(text("ring3-wbinvd"), text("execute 0f09"), FAULTS);
  abuse(text("ring3-invlpg"), text("execute 0f013c24"), FAULTS);
  abuse(text("ring3-rdmsr"), text("execute 31c90f32"), FAULTS);
  abuse(text("ring3-wrmsr"), text("execute 31c90f30"), FAULTS);
  runCase(text("ring3-int-of-all-vectors"), functionAddress(allInterrupts));
}

function segmentsAndTransfers(): void {
  abuse(text("far-call-to-ring-0"), text("execute 9a000000000800"), FAULTS);
  abuse(text("far-call-to-ring-1"), text("execute 9a000000001900"), FAULTS);
  abuse(text("far-jump-to-the-task-state"), text("execute ea000000003800"), FAULTS);
  abuse(text("far-return-to-ring-1"), text("execute 6a196800001080cb"), FAULTS);
  abuse(text("iret-to-ring-0"), text("execute 9c6a086800001080cf"), FAULTS);
  abuse(text("iret-with-nested-task"), text("execute 9c810c24004000009dcf"), FAULTS);
  abuse(text("load-ss-null"), text("execute 31c08ed0"), FAULTS);
  abuse(text("load-ss-of-ring-0"), text("execute b8100000008ed0"), FAULTS);
  abuse(text("load-ds-of-ring-0"), text("execute b8100000008ed8"), FAULTS);
  abuse(text("load-ds-of-ring-1"), text("execute b8210000008ed8"), FAULTS);
  abuse(text("load-ds-of-the-ldt"), text("execute b8070000008ed8"), FAULTS);
  abuse(text("load-ds-beyond-the-gdt"), text("execute b8f8ff00008ed8"), FAULTS);
  // QEMU does not check for null segments.
  abuse(text("use-null-ds"), text("execute 31c08ed8a100008041b8330000008ed8"), ENDS);
  // mov ds, es and fs, null; yield; mov ds, es, user data
  abuse(
    text("trap-with-null-segments"),
    text("execute 31c08ed88ec08ee0b802000000cd31b8330000008ed88ec0"),
    RETURNS,
  );
  abuse(text("jump-into-the-kernel"), text("execute b800001080ffe0"), FAULTS);
  abuse(text("jump-to-null"), text("execute 31c0ffe0"), FAULTS);
  abuse(text("read-the-kernel"), text("execute a100000090"), FAULTS);
  abuse(text("read-the-page-below-2-gb"), text("execute a1fcffff7f"), FAULTS);
  abuse(text("read-across-2-gb"), text("execute a1feffff7f"), FAULTS);
  abuse(text("read-across-4-gb"), text("execute a1feffffff"), FAULTS);
}

function flagsAndStacks(): void {
  abuse(text("trap-flag"), text("execute 9c810c24000100009d9090"), FAULTS);
  abuse(text("trap-flag-at-a-trap"), text("execute b8020000009c810c24000100009dcd319090"), FAULTS);
  abuse(
    text("alignment-flag"),
    text("execute b8020000009c810c24000004009dcd318b4424019c812424fffffbff9d"),
    ENDS,
  );
  abuse(text("direction-flag-at-a-trap"), text("execute fdb802000000cd31fc"), RETURNS);
  abuse(text("direction-flag-at-a-call"), text("call-backwards"), RETURNS);
  // mov ebp, esp; mov esp, garbage; yield; mov esp, ebp
  abuse(text("garbage-stack-at-a-trap"), text("execute 5589e5bcefbeaddeb802000000cd3189ec5d"), RETURNS);
  abuse(text("garbage-stack-at-a-fault"), text("execute bcefbeaddea100000000"), FAULTS);
  abuse(text("garbage-stack-at-a-push"), text("execute bc0000000050"), FAULTS);
  abuse(text("server-return-by-a-program"), text("execute cd32"), FAULTS);
  abuse(text("call-with-wild-method"), text("execute b8ffffffffcd30b800000040cd30"), RETURNS);
  abuse(text("lock-prefix"), text("execute f090"), FAULTS);
  abuse(text("lock-cmpxchg8b-of-a-register"), text("execute f00fc7c8"), FAULTS);
  abuse(text("overlong-instruction"), text("execute 6666666666666666666666666666666690"), FAULTS);
  abuse(text("breakpoint"), text("execute cc"), FAULTS);
  // fldcw 0; fldz; fld1; fdivrp; fwait
  abuse(text("float-exception"), text("execute 6a00d92c24d9eed9e8def19b"), FAULTS);
  abuse(
    text("float-exception-pending-at-a-trap"),
    text("execute 6a00d92c2458d9eed9e8def1b802000000cd31"),
    ENDS,
  );
  abuse(text("private-traps-with-garbage"), text("private-traps"), FAULTS);
}

/** Threads in the kernel and in a process leave their segments in FS and GS, by turns. */
function spareSegments(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("spare-segments"), PLACE_KERNEL, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return;
  const inKernel = changetype<IProcess>(load<usize>(word));
  expectAbuse(text("spare-segments"), 0);
  expectEqual(inKernel.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), 0, text("exit code in the kernel"));
  inKernel.release();
}

function objectsAndPrograms(): void {
  abuse(text("references-given-back-too-often"), text("over-release"), RETURNS);
  abuse(text("references-by-the-hundred-thousand"), text("count-references"), RETURNS);
  abuse(text("references-of-every-proxy"), text("release-all"), RETURNS);
  abuse(text("calls-beside-objects"), text("call-besides"), RETURNS);
  abuse(text("console-closed-under-others"), text("close-console"), RETURNS);
  abuse(text("kill-of-others"), text("kill-others"), RETURNS);
  abuse(text("kill-race"), text("kill-race"), RETURNS);
  abuse(text("fork-bomb"), text("fork 7"), RETURNS);
  abuse(text("wrong-places"), text("wrong-places"), RETURNS);
  abuse(text("endless-string"), text("endless-string"), FAULTS);
  runCase(text("segments-of-others"), functionAddress(spareSegments));
  runCase(text("stack-hog-in-the-kernel"), functionAddress(stackHogInKernel));
}

export function hostileCases(): void {
  privilegedInstructions();
  segmentsAndTransfers();
  flagsAndStacks();
  objectsAndPrograms();
}
