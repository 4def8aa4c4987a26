/** Says where it runs: its process, the ring of its code and the address of its code. */

import type { ProcessInfo } from "../../interfaces/ISystem";
import { makePrinter, PRINTER_SIZE } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";

export function main(_argc: i32, _argv: usize): i32 {
  const info = stackAlloc(offsetof<ProcessInfo>());
  const result = systemObject().self(info);
  if (result !== 0) return 1;
  const process = changetype<ProcessInfo>(info);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("Hello from process "));
  out.number(process.id);
  out.text(text(" ("));
  out.text(info + offsetof<ProcessInfo>("name0"));
  out.text(text("), ring "));
  out.number(codeSegment() & 3);
  out.text(text(", code at 0x"));
  out.hexadecimal(<u32>functionAddress(main));
  out.end();
  return 0;
}
