import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuMs, residentKib, startProgram } from "../processes.mjs";
import { programFlags, programVariables } from "../program-flags.mjs";

const startDeadlineMs = 30_000;

/** The operator of this tree as its own process, alone on the server's core.
 * @typedef {object} Operator
 * @property {number} pid
 * @property {Promise<void>} ended when it has ended, by itself or not
 * @property {() => Promise<Reading>} read
 * @property {() => Promise<void>} stop
 */

/** Totals since its start.
 * @typedef {object} Reading
 * @property {number} atMs
 * @property {number} cpuMs
 * @property {number} rssKib
 * @property {number} requests to the API server
 * @property {number} reconciles
 */

/** Starts it and waits until it leads.
 * @param {string} kubeconfigFile @param {readonly string[]} nodeFlags @returns {Promise<Operator>} */
export async function startOperator(kubeconfigFile, nodeFlags) {
  const folder = mkdtempSync(join(tmpdir(), "pushfleet-bench-"));
  const adminPort = await freePort();
  const configuration = {
    id: "bench",
    kubeconfig: kubeconfigFile,
    admin: { host: "127.0.0.1", port: adminPort },
    images: { gateway: "pushfleet/gateway:bench", router: "pushfleet/router:bench", haproxy: "haproxy:bench" },
  };
  writeFileSync(join(folder, "operator.yaml"), JSON.stringify(configuration)); // JSON is YAML
  const program = startProgram(
    "../operator/bin/pushfleet-operator.js",
    [...programFlags("operator"), ...nodeFlags],
    ["-c", join(folder, "operator.yaml")],
    programVariables("operator"),
  );
  await program.line((line) => line.includes('"msg":"leads"'), startDeadlineMs);
  return {
    pid: program.pid,
    ended: program.ended,
    async read() {
      const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
      const { pid } = program;
      const requests = sum(text, "rest_client_requests_total");
      const reconciles = sum(text, "controller_runtime_reconcile_total");
      return { atMs: performance.now(), cpuMs: cpuMs(pid), rssKib: residentKib(pid), requests, reconciles };
    },
    async stop() {
      await program.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Over all labels of a metric in Prometheus' text.
 * @param {string} text @param {string} metric */
function sum(text, metric) {
  const lines = text.split("\n").filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
