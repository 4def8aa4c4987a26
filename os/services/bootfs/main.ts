/** The boot archive as a file system. Runs in a process or in the kernel. */

import { IFile } from "../../interfaces/IFile";
import type { IFileSystem } from "../../interfaces/IFileSystem";
import type { IServiceState } from "../../interfaces/IServiceState";
import { S_OK } from "../../interfaces/results";
import { bindWaiting, serve, systemObject } from "../../lib/rt/program";
import type { ArchiveFileSystem } from "./archive";

export function main(_argc: i32, _argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("boot.archive"), IFile.IID, 0, word) !== S_OK) return 1;
  const files = newObject<ArchiveFileSystem>();
  if (!files) return 1;
  files.archive = changetype<IFile>(load<usize>(word));
  files.findContents();
  if (files.readDirectory() !== S_OK) return 1;
  const root = interfaceOf<IFileSystem>(files);
  const result = systemObject().registerService(text("files"), root, interfaceOf<IServiceState>(files));
  if (result >= 0) serve();
  files.release();
  return min<i32>(result, 0);
}
