/** `checksum FILE…`: the CRC-32 of files of the boot archive, as `crc32` or zlib computes it. */

import type { IFile } from "../../interfaces/IFile";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { S_OK } from "../../interfaces/results";
import { crc32 } from "../../lib/digest/crc32";
import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";

const BUFFER: u32 = 4096;

export function main(argc: i32, argv: usize): i32 {
  if (argc < 2) {
    print(text("usage: checksum FILE...\n"));
    return 2;
  }
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().bind(text("files"), IFileSystem.IID, word);
  if (result !== S_OK) return complain(text("files"), result);
  const files = changetype<IFileSystem>(load<usize>(word));
  let failed = 0;
  for (let index = 1; index < argc; index++) {
    const path = load<usize>(argv + index * 4);
    const opened = files.open(path, word);
    if (opened === S_OK) failed |= showChecksum(changetype<IFile>(load<usize>(word)), path);
    else failed |= complain(path, opened);
  }
  files.release();
  return failed;
}

function complain(name: usize, result: i32): i32 {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("checksum: "));
  out.text(name);
  out.text(text(": "));
  out.text(describeResult(result));
  out.end();
  return 1;
}

/** Takes over the reference to the file. */
function showChecksum(file: IFile, path: usize): i32 {
  const buffer = stackAlloc(BUFFER);
  const count = stackAlloc(4);
  let crc: u32 = 0;
  let offset: u32 = 0;
  let result = file.read(0, buffer, BUFFER, count);
  while (result === S_OK && load<u32>(count) !== 0) {
    crc = crc32(crc, buffer, load<u32>(count));
    offset += load<u32>(count);
    result = file.read(offset, buffer, BUFFER, count);
  }
  file.release();
  if (result !== S_OK) return complain(path, result);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.hexadecimal(crc);
  out.text(text("  "));
  out.text(path);
  out.end();
  return 0;
}
