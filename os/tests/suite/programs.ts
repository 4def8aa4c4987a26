/** Programs: arguments, exit codes, ends; and everything that a process can do wrong, which must harm only itself. */

import type { IFile } from "../../interfaces/IFile";
import { IFileSystem } from "../../interfaces/IFileSystem";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import {
  E_ACCESSDENIED,
  E_BADIMAGE,
  E_CANCELLED,
  E_HANDLE,
  E_NOTFOUND,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  E_POINTER,
  S_OK,
} from "../../interfaces/results";
import { allocate, free } from "../../lib/rt/heap";
import { systemObject } from "../../lib/rt/program";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { expectAbuse, runToEnd } from "./servers";

function exitCodes(): void {
  expectAbuse(text("exit 0"), 0);
  expectAbuse(text("exit 42"), 42);
}

function programArguments(): void {
  expectAbuse(text("count a b c"), 5);
  expectAbuse(text("count"), 2);
}

function unknownProgram(): void {
  const code = stackAlloc(4);
  expectEqual(runToEnd(text("nosuchprogram"), text(""), code), E_NOTFOUND, text("result of run"));
}

function killProgram(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), text("spin"), PLACE_PROCESS, word);
  if (!expectEqual(result, S_OK, text("result of run"))) return;
  const process = changetype<IProcess>(load<usize>(word));
  sleep(20);
  expectEqual(process.kill(), S_OK, text("result of kill"));
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), E_CANCELLED, text("exit code"));
  expectEqual(process.wait(word), S_OK, text("result of waiting again"));
  process.release();
  expectEqual(systemObject().kill(0xffffff), E_NOTFOUND, text("result of killing nobody"));
}

function nullPointer(): void {
  expectAbuse(text("read-null"), E_POINTER);
}

function writeCode(): void {
  expectAbuse(text("write-code"), E_POINTER);
}

function writeKernel(): void {
  expectAbuse(text("write-kernel"), E_POINTER);
}

function stackOverflow(): void {
  expectAbuse(text("overflow-stack"), E_POINTER, PLACE_PROCESS);
  expectAbuse(text("overflow-stack"), E_POINTER, PLACE_KERNEL);
}

/** A fault that is no memory fault has another failure code. */
function expectFault(args: usize): void {
  const code = stackAlloc(4);
  store<u32>(code, 0);
  expectEqual(runToEnd(text("abuse"), args, code), S_OK, text("result of run"));
  expect(<i32>load<u32>(code) < 0, text("the fault did not end the program"));
}

function divideByZero(): void {
  expectFault(text("divide"));
}

function privilegedInstruction(): void {
  expectFault(text("privileged"));
}

function portAccess(): void {
  expectFault(text("port"));
}

function undefinedInstruction(): void {
  expectFault(text("undefined"));
}

function kernelPointerRefused(): void {
  expectAbuse(text("pass-kernel-pointer"), E_POINTER);
}

function wrappingBufferRefused(): void {
  expectAbuse(text("pass-wrapping-buffer"), E_POINTER);
}

function unmappedPointer(): void {
  expectAbuse(text("pass-unmapped"), E_POINTER);
}

function readOnlyPointer(): void {
  expectAbuse(text("pass-read-only"), E_POINTER);
}

function badHandle(): void {
  expectAbuse(text("call-free-handle"), E_HANDLE);
  expectAbuse(text("call-wild-handle"), E_HANDLE);
}

function releasedHandle(): void {
  expectAbuse(text("call-released"), E_HANDLE);
}

function badMethod(): void {
  expectAbuse(text("call-missing-method"), E_NOTIMPL);
}

function badStack(): void {
  expectAbuse(text("bad-stack"), E_POINTER);
}

function driverCallRefused(): void {
  expectAbuse(text("driver-call"), E_ACCESSDENIED);
}

function threadBomb(): void {
  expectAbuse(text("thread-bomb"), E_OUTOFMEMORY);
}

function handleBomb(): void {
  expectAbuse(text("handle-bomb"), E_OUTOFMEMORY);
}

function processBomb(): void {
  expectAbuse(text("process-bomb"), E_OUTOFMEMORY);
}

function regionBomb(): void {
  expectAbuse(text("region-bomb"), E_OUTOFMEMORY);
}

function memoryHog(): void {
  expectAbuse(text("memory-hog"), E_OUTOFMEMORY);
}

/** Runs the bytes of a good program with one word changed, or cut short. */
function runSpoiled(at: u32, value: u32, size: u32): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().bind(text("files"), IFileSystem.IID, word) !== S_OK) {
    expect(false, text("there is no file system"));
    return;
  }
  const files = changetype<IFileSystem>(load<usize>(word));
  const opened = files.open(text("bin/hello"), word);
  files.release();
  if (!expectEqual(opened, S_OK, text("result of open"))) return;
  const file = changetype<IFile>(load<usize>(word));
  file.length(word);
  const length = load<u32>(word);
  const image = allocate(length);
  file.read(0, image, length, word);
  file.release();
  if (at < length) store<u32>(image + at, value);
  const used = size < length ? size : length;
  const result = systemObject().runImage(text("spoiled"), image, used, text(""), PLACE_PROCESS, word);
  expectEqual(result, E_BADIMAGE, text("result of runImage"));
  free(image);
}

function spoiledImages(): void {
  runSpoiled(0, 0x12345678, 0xffffffff); // not ELF
  runSpoiled(16, 0x00080003, 0xffffffff); // another machine
  runSpoiled(28, 0x7fffffff, 0xffffffff); // program headers beyond the end
  runSpoiled(44, 0xffffffff, 0xffffffff); // thousands of program headers
  runSpoiled(0xffffffff, 0, 40); // cut in the header
  runSpoiled(0xffffffff, 0, 3000); // cut in the code
}

export function programCases(): void {
  runCase(text("program-exit-codes"), functionAddress(exitCodes));
  runCase(text("program-arguments"), functionAddress(programArguments));
  runCase(text("program-unknown"), functionAddress(unknownProgram));
  runCase(text("program-killed"), functionAddress(killProgram));
  runCase(text("spoiled-images"), functionAddress(spoiledImages));
}

export function abuseCases(): void {
  runCase(text("fault-null-pointer"), functionAddress(nullPointer));
  runCase(text("fault-write-code"), functionAddress(writeCode));
  runCase(text("fault-write-kernel"), functionAddress(writeKernel));
  runCase(text("fault-stack-overflow"), functionAddress(stackOverflow));
  runCase(text("fault-divide"), functionAddress(divideByZero));
  runCase(text("fault-privileged-instruction"), functionAddress(privilegedInstruction));
  runCase(text("fault-port"), functionAddress(portAccess));
  runCase(text("fault-undefined-instruction"), functionAddress(undefinedInstruction));
  runCase(text("call-with-kernel-pointer"), functionAddress(kernelPointerRefused));
  runCase(text("call-with-wrapping-buffer"), functionAddress(wrappingBufferRefused));
  runCase(text("call-with-unmapped-pointer"), functionAddress(unmappedPointer));
  runCase(text("call-with-read-only-pointer"), functionAddress(readOnlyPointer));
  runCase(text("call-with-bad-handle"), functionAddress(badHandle));
  runCase(text("call-with-released-handle"), functionAddress(releasedHandle));
  runCase(text("call-with-missing-method"), functionAddress(badMethod));
  runCase(text("call-with-bad-stack"), functionAddress(badStack));
  runCase(text("driver-call-from-a-process"), functionAddress(driverCallRefused));
  runCase(text("bomb-of-threads"), functionAddress(threadBomb));
  runCase(text("bomb-of-handles"), functionAddress(handleBomb));
  runCase(text("bomb-of-processes"), functionAddress(processBomb));
  runCase(text("bomb-of-regions"), functionAddress(regionBomb));
  runCase(text("hog-of-memory"), functionAddress(memoryHog));
}
