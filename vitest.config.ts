import { defineConfig } from "vitest/config";

const root = new URL(".", import.meta.url).pathname;

// Tests run on the sources: no build is needed but for the generated gRPC types.
export default defineConfig({
  resolve: { alias: [{ find: /^@pushfleet\/([a-z]+)$/, replacement: `${root}$1/src/index.ts` }] },
  test: {
    include: ["{protocol,service,registry,gateway,router,operator,client,cli,scripts}/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: ["default"],
  },
});
