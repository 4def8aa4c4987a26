/** The modules that the boot loader brought, as files: `boot.archive` and `boot.script`. */

import type { IFile } from "../../interfaces/IFile";
import type { IFileContents } from "../../interfaces/IFileContents";
import { S_OK } from "../../interfaces/results";
import type { HRESULT, Out, OutBytes, u32 } from "../../interfaces/types";
import { kernelProcess } from "../objects/process";
import { registerName } from "../objects/registry";

@unmanaged
class BootFile extends ComObject implements IFile, IFileContents {
  start: usize = 0;
  size: u32 = 0;

  length(bytes: Out<u32>): HRESULT {
    store<u32>(bytes, this.size);
    return S_OK;
  }

  read(offset: u32, buffer: OutBytes, size: u32, count: Out<u32>): HRESULT {
    const rest = offset < this.size ? this.size - offset : 0;
    const length = size < rest ? size : rest;
    memory.copy(buffer, this.start + offset, length);
    store<u32>(count, length);
    return S_OK;
  }

  contents(address: Out<u32>, length: Out<u32>): HRESULT {
    store<u32>(address, <u32>this.start);
    store<u32>(length, this.size);
    return S_OK;
  }
}

/** Offers the bytes [start, end) under `name`. False when memory is exhausted. */
export function offerBootFile(name: usize, start: usize, end: usize): bool {
  const file = newObject<BootFile>();
  if (!file) return false;
  file.start = start;
  file.size = <u32>(end - start);
  const result = registerName(kernelProcess(), name, changetype<usize>(interfaceOf<IFile>(file)));
  file.release();
  return result === S_OK;
}
