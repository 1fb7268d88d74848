// The world around the operator, in one process that starts the others. It is TypeScript of test/, so Vite (Vitest's) loads it.
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";
import { answerRequests } from "../processes.mjs";

/** The control plane of a test collects garbage often, to be small; this one is to leave the machine to others. */
process.env.GOGC = "400";

const path = (/** @type {string} */ relative) => fileURLToPath(new URL(relative, import.meta.url));

/** @type {{ module: typeof import("../../test/support/operator-bench.js") }} */
const { module } = await runnerImport(path("../../test/support/operator-bench.ts"), {
  root: path("../.."),
  configFile: false,
  logLevel: "error",
});
/** @type {import("../../test/support/operator-bench.js").OperatorBenchWorld | undefined} */
let world;

const running = () => {
  if (world === undefined) throw new Error("the world has not begun");
  return world;
};

answerRequests({
  async begin() {
    world = await module.OperatorBenchWorld.start(path("gateways.mjs"));
    return { kubeconfigFile: world.kubeconfigFile, pids: world.pids() };
  },
  prepare: (wish) => running().prepare(wish),
  firstReconcile: ({ deadlineMs, ...wish }) => running().firstReconcile(wish, deadlineMs),
  changes: (wish) => running().changes(wish),
  streams: () => running().streams(),
  statusPeriod: (periodMs) => running().setStatusPeriod(periodMs),
  async end() {
    await world?.stop();
    world = undefined;
  },
});
