/** `--coverage FILE`: what the images of the system ran, as lcov reads it, and in short for people. */
import { closeSync, writeFileSync } from "node:fs";
import { coverageTable, coverLines, lcovReport } from "@rialto/debugger/coverage/line-coverage.ts";
import { Coverage } from "@rialto/machine/trace/coverage.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { buildSystemReporting } from "./build-system.ts";
import { loadCodeMap } from "./observed-run.ts";
import { openOutputFile } from "./output-file.ts";

export interface CoverageFile {
  /** Goes into the runs that are to be covered. */
  readonly coverage: Coverage;
  /** Writes the file; returns the table. */
  close(): Promise<string>;
}

export function openCoverageFile(path: string): CoverageFile {
  const descriptor = openOutputFile(path, "coverage");
  const coverage = new Coverage();
  return {
    coverage,
    async close() {
      const { images } = await buildSystemReporting();
      const files = coverLines(loadCodeMap(images), coverage.executed);
      writeFileSync(descriptor, lcovReport(files, `${REPOSITORY.replace(/\/$/, "")}/`));
      closeSync(descriptor);
      return coverageTable(files);
    },
  };
}
