/** One start of each kind: that the bench gets to the prompt and measures, not what it measures. */
import { buildSystem } from "@rialto/toolchain/build/system.ts";
import { beforeAll, expect, it } from "vitest";
import { chromium } from "../chromium.ts";
import { formatStart, measureStart } from "./start.ts";

const BUILD_TIME = 600_000;
beforeAll(async () => {
  await buildSystem();
}, BUILD_TIME);

it("times the way to the prompt, in Node and where it is installed in Chromium", async () => {
  const report = await measureStart(1);
  const kinds = report.rows.map(({ where, code }) => `${where} ${code}`);
  const inNode = ["Node compiled", "Node interpreted"];
  expect(kinds).toEqual(chromium ? [...inNode, "Chromium compiled", "Chromium interpreted"] : inNode);
  for (const { starts } of report.rows) {
    expect(starts).toHaveLength(1);
    for (const { milliseconds, processor = 1, megabytes = 16 } of starts) {
      expect(milliseconds).toBeGreaterThan(10);
      expect(processor).toBeGreaterThan(0);
      // The guest's memory is a part of it, as far as it is touched.
      expect(megabytes).toBeGreaterThan(8);
    }
  }
  expect(formatStart(report)).toMatch(/^Node, compiled +\d+ \(\d+-\d+\) /m);
}, 120_000);
