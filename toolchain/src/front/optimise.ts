/**
 * The Binaryen passes that an image goes through. Linear memory is the whole address space, so nothing may assume that low
 * memory is unused or that a trap cannot happen; floating point stays exact. A function that calls `stackAlloc` is never
 * inlined: its stack is given back at its own return, and a loop around the inlined body would grow the frame each time.
 */

import { binaryen, type WrappedModule } from "./binaryen.ts";

const passes: readonly string[] = [
  "duplicate-function-elimination",
  "remove-unused-module-elements",
  "once-reduction",
  "simplify-locals-nostructure",
  "vacuum",
  "inlining", // the passes below clean up once; "inlining-optimizing" would after each, for most of the time of a build
  "simplify-globals-optimizing",
  "remove-unused-module-elements",
  "rse",
  "vacuum",
  "code-folding",
  "ssa-nomerge",
  "local-cse",
  "remove-unused-brs",
  "remove-unused-names",
  "merge-blocks",
  "precompute-propagate",
  "optimize-instructions",
  "dce",
  "remove-unused-brs",
  "remove-unused-names",
  "merge-blocks",
  "precompute-propagate",
  "pick-load-signs",
  "simplify-locals-notee-nostructure",
  "vacuum",
  "local-cse",
  "licm",
  "reorder-locals",
  "coalesce-locals",
  "simplify-locals",
  "coalesce-locals",
  "reorder-locals",
  "vacuum",
  "rse",
  "dae-optimizing",
  "inlining-optimizing",
  "duplicate-import-elimination",
  "simplify-globals-optimizing",
  "precompute-propagate",
  "optimize-instructions",
  "remove-unused-brs",
  "remove-unused-names",
  "merge-blocks",
  "vacuum",
  "duplicate-function-elimination",
  "remove-unused-module-elements",
];

/** Export of linear memory, for those who run the module as wasm. No function can have the name. */
export const memoryExport = ".memory";

/** Prefix of exports that stand for nothing but "called from elsewhere"; the rewriter drops them. */
export const addressTakenPrefix = ".address-taken.";

/**
 * Any image can call a function whose address it was given: without an export Binaryen empties those never called here, and
 * without one of the table forgets the indices of those whose type no call here has.
 */
function exportAddressTaken(module: WrappedModule): void {
  const names = new Set<string>();
  for (let index = 0; index < module.getNumElementSegments(); index++) {
    for (const name of binaryen.getElementSegmentInfo(module.getElementSegmentByIndex(index)).data)
      names.add(name);
  }
  for (const name of names) module.addFunctionExport(name, addressTakenPrefix + name);
  if (names.size > 0) module.addTableExport("0", addressTakenPrefix);
}

export function optimise(module: WrappedModule, notInlined: readonly string[]): void {
  module.addMemoryExport("0", memoryExport);
  exportAddressTaken(module);
  binaryen.setDebugInfo(true);
  binaryen.setOptimizeLevel(3);
  binaryen.setShrinkLevel(0);
  binaryen.setFastMath(false);
  binaryen.setLowMemoryUnused(false);
  binaryen.setAlwaysInlineMaxSize(12);
  binaryen.setFlexibleInlineMaxSize(40);
  binaryen.setOneCallerInlineMaxSize(200);
  binaryen.setAllowInliningFunctionsWithLoops(true);
  binaryen.clearPassArguments();
  for (const name of notInlined) {
    binaryen.setPassArgument("no-inline", name);
    module.runPasses(["no-inline"]);
  }
  binaryen.clearPassArguments();
  module.runPasses(passes);
}
