import type { IFile } from "./IFile";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, InString, Out, OutBytes, u32 } from "./types";

/** A tree of files, named by paths such as "bin/hello". */
export interface IFileSystem extends IUnknown {
  open(path: InString, out: Out<IFile>): HRESULT;
  /** The `index`-th file: its path, NUL-terminated, and its length. `S_FALSE` past the last. */
  entry(index: u32, path: OutBytes, size: u32, length: Out<u32>): HRESULT;
}
export declare const IFileSystem: { readonly IID: u32 };
