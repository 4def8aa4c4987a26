/** The figures of machine/README.md against what is in the tree. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { instructions } from "../i386/table.ts";
import { generateFloatingPointCases } from "./instructions/floating-point-cases.ts";
import { generateCases } from "./instructions/generate.ts";
import { debugChecks } from "./system/checks-debug.ts";
import { pagingChecks } from "./system/checks-paging.ts";
import { ringChecks } from "./system/checks-rings.ts";
import { segmentChecks } from "./system/checks-segments.ts";
import { taskChecks } from "./system/checks-tasks.ts";
import { deviations } from "./system/deviations.ts";

it("the page of what is emulated has the figures of the tree", () => {
  const page = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const checks = [segmentChecks, ringChecks, pagingChecks, taskChecks, debugChecks].flat();
  const cases = [generateCases(), generateFloatingPointCases()];
  const rows = cases.map((set) => new Set(set.map(({ row }) => row.number)).size);
  const figures = [
    `${instructions.length} forms of ${new Set(instructions.map(({ mnemonic }) => mnemonic)).size} mnemonics`,
    `${cases[0]!.length} cases of ${rows[0]} forms at ring 3`,
    `${cases[1]!.length} cases of ${rows[1]} x87 forms`,
    `${checks.length} checks of segments`,
    `all but ${deviations.bochs.size}, in which Bochs`,
    `all but ${deviations.qemu.size}, in which QEMU`,
  ];
  for (const figure of figures) expect(page).toContain(figure);
});
