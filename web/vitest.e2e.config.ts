import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.e2e.ts"],
    testTimeout: 120_000,
    hookTimeout: 180_000,
    // One daemon and one browser at a time: the files share two cores.
    fileParallelism: false,
  },
});
