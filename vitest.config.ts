import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{machine,toolchain,debugger,cli,os,scripts,web}/**/*.test.ts"],
    // The longest files are runs of one machine each; a core stands idle with the default of one fewer than there are.
    maxWorkers: "100%",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
