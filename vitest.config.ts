import { defineConfig } from "vitest/config";

const root = new URL(".", import.meta.url).pathname;

// Tests run on the sources: no build is needed but for the generated files, and for the integration tests, which start real processes.
const shared = {
  resolve: { alias: [{ find: /^@pushfleet\/([a-z]+)$/, replacement: `${root}$1/src/index.ts` }] },
};

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    maxConcurrency: 2,
    projects: [
      {
        ...shared,
        test: {
          name: "unit",
          include: [
            "{protocol,service,registry,gateway,router,operator,client,cli}/src/**/*.test.ts",
            "test/*.test.ts",
            "test/{support,peers}/**/*.test.ts",
          ],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
