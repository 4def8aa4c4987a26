/** Commands that show what the system holds. */

import type { MemoryInfo, ModuleInfo, ProcessInfo } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import { makePrinter, PRINTER_SIZE, type Printer } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";

const NAME: u32 = 128;

export function processesCommand(_count: u32, _words: usize): i32 {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  const address = stackAlloc(offsetof<ProcessInfo>());
  out.text(text("   id ring threads private  shared handles  name"));
  out.end();
  for (let index: u32 = 0; systemObject().processInfo(index, address) === S_OK; index++) {
    const info = changetype<ProcessInfo>(address);
    out.numberColumn(info.id, 5);
    out.numberColumn(info.ring, 5);
    out.numberColumn(info.threads, 8);
    out.numberColumn(info.privatePages, 8);
    out.numberColumn(info.sharedPages, 8);
    out.numberColumn(info.handles, 8);
    out.text(text("  "));
    out.text(address + offsetof<ProcessInfo>("name0"));
    out.end();
  }
  return 0;
}

function frames(out: Printer, count: u32, what: usize): void {
  out.numberColumn(count, 7);
  out.text(text("  "));
  out.text(what);
  out.end();
}

export function memoryCommand(_count: u32, _words: usize): i32 {
  const address = stackAlloc(offsetof<MemoryInfo>());
  if (systemObject().memoryInfo(address) !== S_OK) return 1;
  const info = changetype<MemoryInfo>(address);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  frames(out, info.total, text("pages of 4 KB in all"));
  frames(out, info.free, text("free"));
  frames(out, info.kernelImage, text("kernel image"));
  frames(out, info.kernelHeap, text("kernel heap"));
  frames(out, info.bootArchive, text("boot archive, image code shared in place"));
  frames(out, info.pageTables, text("page tables"));
  frames(out, info.kernelStacks, text("kernel stacks"));
  frames(out, info.userStacks, text("user stacks"));
  frames(out, info.imageCode, text("relocated image code"));
  frames(out, info.imageData, text("image data"));
  frames(out, info.anonymous, text("other memory of programs"));
  return 0;
}

export function modulesCommand(_count: u32, _words: usize): i32 {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  const address = stackAlloc(offsetof<ModuleInfo>());
  out.text(text("space base          code   data code frame   data frame   name"));
  out.end();
  for (let index: u32 = 0; systemObject().moduleInfo(index, address) === S_OK; index++) {
    const info = changetype<ModuleInfo>(address);
    out.numberColumn(info.process, 5);
    out.text(text(" 0x"));
    out.hexadecimal(info.base);
    out.numberColumn(info.codeSize, 8);
    out.numberColumn(info.dataSize, 7);
    frame(out, info.codeFrame);
    frame(out, info.dataFrame);
    out.text(text("  "));
    out.text(address + offsetof<ModuleInfo>("name0"));
    if (info.relocated) {
      out.text(text(" (relocated, "));
      out.number(info.privateCodePages);
      out.text(text(" code pages of its own)"));
    }
    out.end();
  }
  return 0;
}

/** A physical address, or a dash for a page that was not touched yet. */
function frame(out: Printer, physical: u32): void {
  if (physical === 0) {
    out.text(text("  -         "));
    return;
  }
  out.text(text(" 0x"));
  out.hexadecimal(physical);
}

export function namesCommand(_count: u32, _words: usize): i32 {
  const name = stackAlloc(NAME);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  for (let index: u32 = 0; systemObject().registeredName(index, name, NAME) === S_OK; index++) {
    out.text(name);
    out.end();
  }
  return 0;
}
