/** `stacks`: how many pages stacks take, under the policy chosen at boot. */

import { STACKS_FIXED, STACKS_TRIMMED, STACKS_UNTRIMMED, type StackInfo } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import { makePrinter, PRINTER_SIZE, type Printer } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";

function policyName(policy: u32): usize {
  switch (policy) {
    case STACKS_TRIMMED:
      return text("trimmed: stacks grow, and give back every ten seconds what they do not use");
    case STACKS_UNTRIMMED:
      return text("untrimmed: stacks grow, and give nothing back");
    case STACKS_FIXED:
      return text("fixed: kernel stacks have all their pages from the start");
    default:
      return text("dedicated: fixed, and every thread has a kernel stack of its own");
  }
}

/** One row: now, peak, mean over time (thousandths, shown as hundredths). */
function row(out: Printer, name: usize, now: u32, peak: u32, mean: u32): void {
  out.text(name);
  out.numberColumn(now, 7);
  out.numberColumn(peak, 7);
  out.numberColumn(mean / 1000, 7);
  const hundredths = (mean % 1000) / 10;
  out.text(hundredths < 10 ? text(".0") : text("."));
  out.number(hundredths);
}

export function stacksCommand(_count: u32, _words: usize): i32 {
  const address = stackAlloc(offsetof<StackInfo>());
  if (systemObject().stackInfo(address) !== S_OK) return 1;
  const info = changetype<StackInfo>(address);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(policyName(info.policy));
  out.end();
  out.text(text("                   now   peak      mean  trimmed"));
  out.end();
  row(out, text("kernel stack pages"), info.kernelPages, info.kernelPeak, info.kernelMean);
  out.numberColumn(info.kernelTrimmed, 9);
  out.text(text("   deepest "));
  out.number(info.kernelDeepest);
  out.text(text(", faults "));
  out.number(info.kernelFaults);
  out.end();
  row(out, text("user stack pages  "), info.userPages, info.userPeak, info.userMean);
  out.numberColumn(info.userTrimmed, 9);
  out.end();
  row(out, text("threads           "), info.threads, info.threadPeak, info.threadMean);
  out.end();
  return 0;
}
