import { setTimeout as sleep } from "node:timers/promises";
import { gatewayFlags } from "./gateway-flags.mjs";
import { residentKib, startLoad, startServer } from "./processes.mjs";
import { measurePairs, median } from "./statistics.mjs";

const targetKib = 2;
const pollMs = 500;
/** Settled: within `settledKib` for this many polls (V8 gives memory back some seconds after the last handshake). */
const settledPolls = 8;
const settledKib = 256;
const settleMsMax = 20_000;

/** RSS of the server a connection, idle ones, from just after its start to when it has settled with all of them.
 * @param {{ quick: boolean, serverFlags: readonly string[] }} options @returns {Promise<import("./report.mjs").Result>} */
export async function measureRss({ quick, serverFlags }) {
  const count = quick ? 5_000 : 15_000;
  const pairs = await measurePairs(
    quick ? 1 : 2,
    () => measure("servers/gateway.mjs", [...gatewayFlags, ...serverFlags], count),
    () => measure("servers/ws.mjs", [], count),
  );
  const ours = median(pairs.map((pair) => pair.ours));
  const ws = median(pairs.map((pair) => pair.ws));
  return {
    title: `RSS a connection, ${count} idle`,
    rows: [{ label: "KiB a connection", ours, ws, digits: 2 }],
    ratio: {
      label: "rss: gateway / ws",
      value: median(pairs.map((pair) => pair.ours / pair.ws)),
      spread: pairs.map((pair) => pair.ours / pair.ws),
    },
    target: { label: `≤ ${targetKib} KiB a connection`, isMet: ours <= targetKib },
  };
}

/** KiB a connection.
 * @param {string} script @param {readonly string[]} flags @param {number} count */
async function measure(script, flags, count) {
  const server = startServer(script, flags);
  const load = startLoad("load/idle.mjs");
  try {
    const { port } = await server.ask("addresses");
    const before = await settle(server.pid);
    await load.ask("open", { port, count });
    const after = await settle(server.pid);
    const open = await server.ask("connections");
    if (open !== count) throw new Error(`${script} holds ${open} connections instead of ${count}`);
    return (after - before) / count;
  } finally {
    await server.stop();
    await load.stop();
  }
}

/** KiB, when they no longer change.
 * @param {number} pid */
async function settle(pid) {
  let reference = residentKib(pid);
  let polls = 0;
  for (let waitedMs = 0; waitedMs < settleMsMax && polls < settledPolls; waitedMs += pollMs) {
    await sleep(pollMs);
    const now = residentKib(pid);
    if (Math.abs(now - reference) <= settledKib) {
      polls++;
    } else {
      reference = now;
      polls = 0;
    }
  }
  return residentKib(pid);
}
