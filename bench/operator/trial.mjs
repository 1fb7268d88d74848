import { setTimeout as sleep } from "node:timers/promises";
import { cpuMs, startWorld } from "../processes.mjs";
import { startOperator } from "./program.mjs";

/** One control plane with one operator, and what of it is to be measured.
 * @typedef {object} Wish
 * @property {number} fleets
 * @property {number} pods a fleet
 * @property {number} steadySeconds
 * @property {number} changes
 * @property {boolean} withoutStreams whether the steady state is measured at a second rate of statuses too
 * @property {readonly string[]} nodeFlags of the operator
 *
 * @typedef {object} Trial
 * @property {number} firstMs from the first apply until all pods serve
 * @property {number} firstCpuMs of the operator until then
 * @property {number} firstRequests of the operator to the API server
 * @property {Record<string, number>} firstCpuOthers CPU ms of the other processes until then
 * @property {Steady} steady
 * @property {number | undefined} shareWithoutStreams of a core
 * @property {readonly number[]} changesMs one a change, in order
 */

const firstDeadlineMs = 15 * 60_000;
/** After the first reconcile: what is young is looked at more often. */
const settleMs = 20_000;
/** Statuses come this often at the second rate; a gateway counts as silent after 15 s. */
const slowPeriodMs = 12_000;
const usualPeriodMs = 5_000;
const changePauseMs = 50;

/** @param {Wish} wish @returns {Promise<Trial>} */
export async function runTrial({ fleets, pods, steadySeconds, changes, withoutStreams, nodeFlags }) {
  const world = startWorld("operator/world.mjs");
  /** @type {import("./program.mjs").Operator | undefined} */
  let operator;
  try {
    const { kubeconfigFile, pids } = await world.ask("begin");
    await world.ask("prepare", { fleets, pods });
    operator = await startOperator(kubeconfigFile, nodeFlags);
    const before = await operator.read();
    const others = cpuOf(pids);
    progress(`${fleets} fleets of ${pods} pods are applied`);
    const lost = operator.ended.then(() => Promise.reject(new Error("the operator ended")));
    lost.catch(() => undefined); // it ends with the trial too
    const firstMs = await Promise.race([world.ask("firstReconcile", { fleets, pods, deadlineMs: firstDeadlineMs }), lost]);
    const after = await operator.read();
    const firstCpuOthers = Object.fromEntries(Object.entries(cpuOf(pids)).map(([name, ms]) => [name, ms - (others[name] ?? 0)]));
    progress(`they serve after ${(firstMs / 1000).toFixed(1)} s; steady state`);
    await sleep(settleMs);
    const steady = await measureSteady(operator, world, steadySeconds);
    const shareWithoutStreams = withoutStreams ? await estimateWithoutStreams(operator, world, steady, steadySeconds) : undefined;
    if (changes > 0) progress(`${changes} changes`);
    const changesMs = changes > 0 ? await world.ask("changes", { fleets, pods, changes, pauseMs: changePauseMs }) : [];
    return {
      firstMs,
      firstCpuMs: after.cpuMs - before.cpuMs,
      firstRequests: after.requests - before.requests,
      firstCpuOthers,
      steady,
      shareWithoutStreams,
      changesMs,
    };
  } finally {
    await operator?.stop();
    await world.ask("end").catch(() => undefined);
    await world.stop();
  }
}

/** @typedef {object} Steady
 * @property {number} share of a core
 * @property {number} requestsPerSecond
 * @property {number} reconcilesPerSecond
 * @property {number} statusesPerSecond
 * @property {number} streams
 * @property {number} rssMib at its end
 */

/** @param {import("./program.mjs").Operator} operator @param {import("../processes.mjs").Peer} world @param {number} seconds @returns {Promise<Steady>} */
async function measureSteady(operator, world, seconds) {
  const [first, sent] = [await operator.read(), await world.ask("streams")];
  await sleep(seconds * 1000);
  const [last, sentAtEnd] = [await operator.read(), await world.ask("streams")];
  const ms = last.atMs - first.atMs;
  const perSecond = (/** @type {number} */ count) => (1000 * count) / ms;
  return {
    share: (last.cpuMs - first.cpuMs) / ms,
    requestsPerSecond: perSecond(last.requests - first.requests),
    reconcilesPerSecond: perSecond(last.reconciles - first.reconciles),
    statusesPerSecond: perSecond(sentAtEnd.statuses - sent.statuses),
    streams: sentAtEnd.streams,
    rssMib: last.rssKib / 1024,
  };
}

/** The same with statuses at a lower rate; the line through both, at no statuses at all. Streams that are not there are no steady state: the operator
 *  would dial.
 * @param {import("./program.mjs").Operator} operator @param {import("../processes.mjs").Peer} world @param {Steady} usual @param {number} seconds */
async function estimateWithoutStreams(operator, world, usual, seconds) {
  progress("steady state with fewer statuses");
  await world.ask("statusPeriod", slowPeriodMs);
  await sleep(2 * usualPeriodMs);
  const slow = await measureSteady(operator, world, seconds);
  await world.ask("statusPeriod", usualPeriodMs);
  await sleep(slowPeriodMs);
  const cpuMsAStatus = (usual.share - slow.share) / (usual.statusesPerSecond - slow.statusesPerSecond);
  return Math.max(0, slow.share - cpuMsAStatus * slow.statusesPerSecond);
}

/** @param {Record<string, number>} pids @returns {Record<string, number>} */
function cpuOf(pids) {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuMs(pid)]));
}

/** Minutes pass: somebody may be looking. @param {string} what */
function progress(what) {
  process.stderr.write(`bench operator: ${what}\n`);
}
