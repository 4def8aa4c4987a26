import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{machine,toolchain,debugger,cli,os,scripts,web}/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
