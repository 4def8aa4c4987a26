/**
 * Directory and files of a boot archive, read through an `IFile`, or where it lies if that is in the same space. Layout:
 * toolchain/src/link/archive.ts. The kernel has checked the archive's head before it started anything.
 */

import type { IFile } from "../../interfaces/IFile";
import { IFileContents } from "../../interfaces/IFileContents";
import type { IFileSystem } from "../../interfaces/IFileSystem";
import type { IServiceObject } from "../../interfaces/IServiceObject";
import type { IServiceState } from "../../interfaces/IServiceState";
import {
  E_BADIMAGE,
  E_BUFFER,
  E_INVALIDARG,
  E_NOTFOUND,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT, InBytes, InString, Out, OutBytes, OutInterface } from "../../interfaces/types";
import { allocate, free } from "../../lib/rt/heap";
import { stringCopy, stringEquals, stringLength } from "../../lib/rt/strings";

const HEADER: u32 = 64;
const ENTRY: u32 = 64;
const NAME_SIZE: u32 = 48;
const OFFSET_AT: usize = 48;
const SIZE_AT: usize = 52;
const MOST_FILES: u32 = 4096;

/** One file: a range of the archive. Its key is its place in the directory, from 1. */
@unmanaged
class ArchiveFile extends ComObject implements IFile, IFileContents, IServiceObject {
  archive: IFile = changetype<IFile>(0);
  /** The file's bytes, where the archive lies in this space; else 0. */
  start: usize = 0;
  number: u32 = 0;
  offset: u32 = 0;
  size: u32 = 0;

  length(bytes: Out<u32>): HRESULT {
    store<u32>(bytes, this.size);
    return S_OK;
  }

  read(offset: u32, buffer: OutBytes, size: u32, count: Out<u32>): HRESULT {
    store<u32>(count, 0);
    if (offset >= this.size) return S_OK;
    const length = min<u32>(size, this.size - offset);
    if (this.start === 0) return this.archive.read(this.offset + offset, buffer, length, count);
    memory.copy(buffer, this.start + offset, length);
    store<u32>(count, length);
    return S_OK;
  }

  contents(address: Out<u32>, length: Out<u32>): HRESULT {
    store<u32>(address, <u32>this.start);
    store<u32>(length, this.size);
    return this.start !== 0 ? S_OK : E_NOTIMPL;
  }

  key(key: Out<u32>): HRESULT {
    store<u32>(key, this.number);
    return S_OK;
  }

  finish(): void {
    this.archive.release();
  }
}

/** The whole of it, key 0. It has no state: what a file is follows from its key. */
@unmanaged
export class ArchiveFileSystem extends ComObject implements IFileSystem, IServiceObject, IServiceState {
  archive: IFile = changetype<IFile>(0);
  /** The archive's bytes, where it lies in this space; else 0. */
  start: usize = 0;
  files: u32 = 0;
  /** Copy of the archive's entries. */
  entries: usize = 0;

  /** Asks for the archive's internal interface, which is there in the kernel. */
  findContents(): void {
    const word = stackAlloc(4);
    const length = stackAlloc(4);
    if (this.archive.queryInterface(IFileContents.IID, word) !== S_OK) return;
    const contents = changetype<IFileContents>(load<usize>(word));
    if (contents.contents(word, length) === S_OK) this.start = load<u32>(word);
    contents.release();
  }

  readDirectory(): HRESULT {
    const header = stackAlloc(HEADER);
    const count = stackAlloc(4);
    let result = this.archive.read(0, header, HEADER, count);
    if (result !== S_OK) return result;
    const files = load<u32>(header, 12);
    if (load<u32>(count) !== HEADER || files > MOST_FILES) return E_BADIMAGE;
    this.entries = allocate(files * ENTRY);
    if (this.entries === 0) return E_OUTOFMEMORY;
    result = this.archive.read(HEADER, this.entries, files * ENTRY, count);
    if (result === S_OK && load<u32>(count) !== files * ENTRY) result = E_BADIMAGE;
    if (result === S_OK) this.files = files;
    return result;
  }

  open(path: InString, out: Out<IFile>): HRESULT {
    for (let index: u32 = 0; index < this.files; index++) {
      const entry = this.entries + index * ENTRY;
      if (!stringEquals(path, entry)) continue;
      const file = this.fileAt(index);
      if (!file) return E_OUTOFMEMORY;
      store<usize>(out, changetype<usize>(interfaceOf<IFile>(file)));
      return S_OK;
    }
    return E_NOTFOUND;
  }

  fileAt(index: u32): ArchiveFile | null {
    const entry = this.entries + index * ENTRY;
    const file = newObject<ArchiveFile>();
    if (!file) return null;
    this.archive.addRef();
    file.archive = this.archive;
    file.number = index + 1;
    file.offset = load<u32>(entry, OFFSET_AT);
    if (this.start !== 0) file.start = this.start + file.offset;
    file.size = load<u32>(entry, SIZE_AT);
    return file;
  }

  entry(index: u32, path: OutBytes, size: u32, length: Out<u32>): HRESULT {
    if (index >= this.files) return S_FALSE;
    const entry = this.entries + index * ENTRY;
    if (size < min<u32>(stringLength(entry) + 1, NAME_SIZE)) return E_BUFFER;
    stringCopy(path, entry, size);
    store<u32>(length, load<u32>(entry, SIZE_AT));
    return S_OK;
  }

  key(key: Out<u32>): HRESULT {
    store<u32>(key, 0);
    return S_OK;
  }

  suspend(): HRESULT {
    return S_OK;
  }

  resume(): HRESULT {
    return S_OK;
  }

  save(_buffer: OutBytes, _size: u32, length: Out<u32>): HRESULT {
    store<u32>(length, 0);
    return S_OK;
  }

  restore(_buffer: InBytes, size: u32): HRESULT {
    return size === 0 ? S_OK : E_INVALIDARG;
  }

  object(key: u32, iid: u32, out: OutInterface): HRESULT {
    store<usize>(out, 0);
    if (key === 0) return this.queryInterface(iid, out);
    if (key > this.files) return E_NOTFOUND;
    const file = this.fileAt(key - 1);
    if (!file) return E_OUTOFMEMORY;
    const result = file.queryInterface(iid, out);
    file.release();
    return result;
  }

  finish(): void {
    free(this.entries);
    this.archive.release();
  }
}
