import { measurePlanner } from "./operator/planner.mjs";
import { runTrial } from "./operator/trial.mjs";
import { quantile } from "./statistics.mjs";

/** The size that the targets are for, and that of a quick look. */
const sizes = { full: { fleets: 100, pods: 50 }, quick: { fleets: 10, pods: 10 } };
const table = { full: { fleets: [10, 50, 100, 200], pods: 5 }, quick: { fleets: [5, 10], pods: 5 } };

/** The operator against a real API server, a kubelet that only sets status, and a status stream for each pod.
 * @param {{ quick: boolean, serverFlags: readonly string[] }} options @returns {Promise<import("./report.mjs").Figures>} */
export async function measureOperator({ quick, serverFlags }) {
  const [size, rows] = quick ? [sizes.quick, table.quick] : [sizes.full, table.full];
  const steadySeconds = quick ? 20 : 60;
  const planner = await measurePlanner(quick ? 50 : 400);
  const trial = await runTrial({ ...size, steadySeconds, changes: quick ? 40 : 200, withoutStreams: true, nodeFlags: serverFlags });
  const { steady, changesMs, shareWithoutStreams = Number.NaN } = trial;
  const figures = [
    figure("plan() of one fleet of 500 pods, median, ms", planner.medianMs, 2, "< 5", planner.medianMs < 5),
    figure("first full reconcile, s", trial.firstMs / 1000, 1, "< 60", trial.firstMs < 60_000),
    figure("  operator's CPU s until then", trial.firstCpuMs / 1000, 1),
    figure("  its requests to the API server", trial.firstRequests, 0),
    ...Object.entries(trial.firstCpuOthers).map(([name, ms]) => figure(`  CPU s of ${name}`, ms / 1000, 1)),
    figure("steady: CPU, % of a core, with streams", 100 * steady.share, 1, "< 10", steady.share < 0.1),
    figure("  without (two rates, drawn to none)", 100 * shareWithoutStreams, 1, "< 5", shareWithoutStreams < 0.05),
    figure("  requests to the API server a second", steady.requestsPerSecond, 1, "< 20", steady.requestsPerSecond < 20),
    figure("  reconciles a second", steady.reconcilesPerSecond, 1),
    figure("  statuses a second", steady.statusesPerSecond, 0),
    figure("  streams", steady.streams, 0),
    figure("  RSS, MiB", steady.rssMib, 0, "< 300 MB", steady.rssMib * 2 ** 20 < 300e6),
    figure("a change acted on, p50, ms", quantile(changesMs, 0.5), 0),
    figure("  p99", quantile(changesMs, 0.99), 0, "< 1,000", quantile(changesMs, 0.99) < 1000),
    figure("  slowest", quantile(changesMs, 1), 0),
  ];
  return {
    title: `operator, ${size.fleets} fleets of ${size.pods} pods`,
    figures,
    table: await measureTable(rows, steadySeconds, serverFlags),
  };
}

/** @param {{ fleets: readonly number[], pods: number }} rows @param {number} steadySeconds @param {readonly string[]} nodeFlags */
async function measureTable({ fleets, pods }, steadySeconds, nodeFlags) {
  const lines = [];
  for (const count of fleets) {
    const wish = { fleets: count, pods, steadySeconds: steadySeconds / 2, changes: 0, withoutStreams: false, nodeFlags };
    const { firstMs, firstCpuMs, steady } = await runTrial(wish);
    const { share, requestsPerSecond, rssMib } = steady;
    lines.push([count, firstMs / 1000, firstCpuMs / 1000, 100 * share, requestsPerSecond, rssMib]);
  }
  const title = `cost against fleets, ${pods} pods each`;
  return { title, columns: ["fleets", "first s", "CPU s", "steady %", "requests/s", "RSS MiB"], lines };
}

/** @param {string} label @param {number} value @param {number} digits @param {string} [target] @param {boolean} [isMet] */
function figure(label, value, digits, target, isMet) {
  return { label, value, digits, ...(target === undefined ? {} : { target: { label: target, isMet: isMet === true } }) };
}
