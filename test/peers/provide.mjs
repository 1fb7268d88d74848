// @ts-check
// Provides what the tests need: `node test/peers/provide.mjs`, the first step of `make test`. It prints a line a peer, and
// under CI=true it fails when one cannot be had; elsewhere the suites of a missing peer are skipped by name.
import { installDebianPackages } from "./debian-packages.mjs";
import { findProgram } from "./find-program.mjs";
import { provideKafkaJars } from "./kafka-jars.mjs";
import { provideKubernetesBinaries } from "./kubernetes-binaries.mjs";
import { observePeer } from "./peer-state.mjs";

/** @typedef {import("./peer-state.mjs").PeerName} PeerName */

/** @type {readonly PeerName[]} */
const PEERS = ["redis", "kafka", "haproxy", "kubernetes"];

const progress = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);

await attempt(installMissingPackages);
await attempt(fetchKafka);
await attempt(buildKubernetes);
const missing = PEERS.filter((name) => !printPeer(name));
if (missing.length > 0 && process.env["CI"] === "true") process.exitCode = 1;

async function installMissingPackages() {
  const packages = new Set(PEERS.flatMap(missingPackages));
  if (packages.size === 0) return;
  progress(`debian: missing ${[...packages].join(", ")}`);
  const installed = await installDebianPackages([...packages]);
  if (installed.kind === "refused") progress(`debian: ${installed.reason}`);
}

/** Not where the environment names brokers, nor without what it takes to fetch and run it. */
async function fetchKafka() {
  if (observePeer("kafka").kind === "given" || missingPackages("kafka").length > 0) return;
  await provideKafkaJars(progress);
}

/** Not where the environment names the programs. Without Go only a build that is whole will do, and the peer's line says what is missing. */
async function buildKubernetes() {
  const isGiven = (process.env["PUSHFLEET_TEST_KUBERNETES_BIN"] ?? "") !== "";
  if (isGiven || (observePeer("kubernetes").kind === "missing" && findProgram("go") === undefined)) return;
  await provideKubernetesBinaries(progress);
}

/**
 * A failure shows in the peer's line, and must not keep the other peers away.
 * @param {() => Promise<void>} step
 */
async function attempt(step) {
  try {
    await step();
  } catch (error) {
    progress(error instanceof Error ? error.message : String(error));
  }
}

/** @param {PeerName} name */
function missingPackages(name) {
  const state = observePeer(name);
  return state.kind === "missing" ? state.packages : [];
}

/**
 * @param {PeerName} name
 * @returns {boolean} whether the peer can be had
 */
function printPeer(name) {
  const state = observePeer(name);
  switch (state.kind) {
    case "given":
      console.log(`${name.padEnd(12)}${state.value} (${state.variable})`);
      return true;
    case "startable":
      console.log(`${name.padEnd(12)}${state.detail}`);
      return true;
    case "missing":
      console.log(`${name.padEnd(12)}MISSING: ${state.reason}`);
      return false;
  }
}
