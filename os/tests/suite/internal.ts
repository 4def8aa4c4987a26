/**
 * Internal interfaces (interfaces/IInternal.ts): offered to collocated callers, from near and far, before and after the service has moved;
 * and the one that no client gets, a service's state.
 */

import { IEchoCallback } from "../../interfaces/IEchoCallback";
import { IFile } from "../../interfaces/IFile";
import { IFileContents } from "../../interfaces/IFileContents";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { IServiceState } from "../../interfaces/IServiceState";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IUnknown } from "../../interfaces/IUnknown";
import { E_NOINTERFACE, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { expect, expectEqual, runCase } from "./check";
import { kernelRing } from "./servers";

const OWN: usize = text("suite.internal");

function isInKernel(): bool {
  return (codeSegment() & 3) === kernelRing();
}

/** Interface `iid` of an object, which must answer `wanted`; 0 unless it has it. */
function ask(object: usize, iid: u32, wanted: HRESULT): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0xffffffff);
  const result = changetype<IUnknown>(object).queryInterface(iid, word);
  expectEqual(result, wanted, text("result of queryInterface"));
  expect((load<usize>(word) === 0) === result < 0, text("what queryInterface stored"));
  return result === S_OK ? load<usize>(word) : 0;
}

function bound(name: usize, iid: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(systemObject().bind(name, iid, word), S_OK, text("result of bind"));
  return load<usize>(word);
}

/** The bytes that an internal interface shows are those that the external one reads. */
function compareContents(file: IFile, contents: IFileContents): void {
  const address = stackAlloc(4);
  const length = stackAlloc(4);
  const bytes = stackAlloc(64);
  const count = stackAlloc(4);
  if (!expectEqual(contents.contents(address, length), S_OK, text("result of contents"))) return;
  expectEqual(file.length(count), S_OK, text("result of length"));
  expectEqual(load<u32>(length), load<u32>(count), text("length of the contents"));
  const offset = load<u32>(length) - 64;
  expectEqual(file.read(offset, bytes, 64, count), S_OK, text("result of read"));
  expectEqual(
    memory.compare(bytes, load<usize>(address) + offset, 64),
    0,
    text("difference of the contents"),
  );
}

function ofTheKernel(): void {
  const file = changetype<IFile>(bound(text("boot.archive"), IFile.IID));
  const near = isInKernel();
  const contents = ask(changetype<usize>(file), IFileContents.IID, near ? S_OK : E_NOINTERFACE);
  if (contents !== 0) compareContents(file, changetype<IFileContents>(contents));
  const word = stackAlloc(4);
  store<u32>(word, 0xffffffff);
  const result = systemObject().bind(text("boot.archive"), IFileContents.IID, word);
  expectEqual(result, near ? S_OK : E_NOINTERFACE, text("result of binding the internal interface"));
  if (near) changetype<IUnknown>(load<usize>(word)).release();
  else expectEqual(load<u32>(word), 0, text("pointer after a refused bind"));
  if (contents !== 0) changetype<IUnknown>(contents).release();
  file.release();
}

function openedFile(): IFile {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const files = changetype<IFileSystem>(bound(text("files"), IFileSystem.IID));
  expectEqual(files.open(text("bin/hello"), word), S_OK, text("result of open"));
  files.release();
  return changetype<IFile>(load<usize>(word));
}

function place(where: u32): void {
  expect(systemObject().place(text("bootfs"), where) >= 0, text("the file system did not move"));
}

/** Of a service in the kernel, in a process, and in the kernel again. */
function ofAMovingService(): void {
  place(PLACE_KERNEL);
  const file = openedFile();
  const near = isInKernel();
  const contents = ask(changetype<usize>(file), IFileContents.IID, near ? S_OK : E_NOINTERFACE);
  if (near) compareContents(file, changetype<IFileContents>(contents));
  place(PLACE_PROCESS);
  ask(changetype<usize>(file), IFileContents.IID, E_NOINTERFACE);
  if (near) expectApart(file, changetype<IFileContents>(contents));
  place(PLACE_KERNEL);
  if (near) compareContents(file, changetype<IFileContents>(contents));
  place(PLACE_PROCESS);
  if (near) changetype<IUnknown>(contents).release();
  file.release();
}

/** The service is elsewhere now: its holders' methods fail, but the pointer is good, and leads back to the external interface. */
function expectApart(file: IFile, contents: IFileContents): void {
  const word = stackAlloc(4);
  const result = contents.contents(word, word);
  expectEqual(result, E_NOINTERFACE, text("result of contents after the move"));
  expectEqual(contents.addRef(), contents.release() + 1, text("number of references"));
  const again = changetype<IFile>(ask(changetype<usize>(contents), IFile.IID, S_OK));
  expectEqual(again.length(word), S_OK, text("result of length after the move"));
  again.release();
  expectEqual(file.length(word), S_OK, text("result of length after the move"));
}

/** No client gets a service's state. */
function stateIsNotOffered(): void {
  const word = stackAlloc(4);
  const files = bound(text("files"), IFileSystem.IID);
  for (let where = PLACE_PROCESS; where <= PLACE_KERNEL; where++) {
    place(where);
    ask(files, IServiceState.IID, E_NOINTERFACE);
    store<u32>(word, 0xffffffff);
    const result = systemObject().bind(text("console"), IServiceState.IID, word);
    expectEqual(result, E_NOINTERFACE, text("result of binding the state"));
    expectEqual(load<u32>(word), 0, text("pointer after a refused bind"));
  }
  place(PLACE_PROCESS);
  changetype<IUnknown>(files).release();
}

/** An object with both kinds. */
@unmanaged
class Both extends ComObject implements IEchoCallback, IFileContents {
  called(value: u32, answer: Out<u32>): HRESULT {
    store<u32>(answer, value + 1);
    return S_OK;
  }

  contents(address: Out<u32>, length: Out<u32>): HRESULT {
    store<u32>(address, <u32>OWN);
    store<u32>(length, 14);
    return S_OK;
  }
}

/** Caller and object are in one space, a process's or the kernel's: then the external interface, bound by name, leads to the internal one. */
function ofTheOwnSpace(): void {
  const object = newObject<Both>();
  if (!object) return;
  systemObject().register(OWN, interfaceOf<IEchoCallback>(object));
  const external = bound(OWN, IEchoCallback.IID);
  expectEqual(
    external,
    changetype<usize>(interfaceOf<IEchoCallback>(object)),
    text("pointer of the own object"),
  );
  const internal = changetype<IFileContents>(ask(external, IFileContents.IID, S_OK));
  const address = stackAlloc(4);
  const length = stackAlloc(4);
  expectEqual(internal.contents(address, length), S_OK, text("result of contents"));
  expectEqual(load<u32>(address), <u32>OWN, text("address of the contents"));
  internal.release();
  changetype<IUnknown>(external).release();
  systemObject().unregister(OWN);
  object.release();
}

export function internalCases(): void {
  runCase(text("internal-interface-of-the-kernel"), functionAddress(ofTheKernel));
  runCase(text("internal-interface-of-a-moving-service"), functionAddress(ofAMovingService));
  runCase(text("internal-interface-in-one-space"), functionAddress(ofTheOwnSpace));
  runCase(text("state-is-not-offered"), functionAddress(stateIsNotOffered));
}
