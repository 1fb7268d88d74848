import { setTimeout as sleep } from "node:timers/promises";
import { residentKib, startLoad, startServer } from "./processes.mjs";
import { programFlags } from "./program-flags.mjs";
import { measurePairs, median } from "./statistics.mjs";

const targetKib = 2;
const warmUpConnections = 1_000;
const roundMs = 1_000;
/** V8 lets the pages of its young generation go at the first collection that finds little allocated in the seconds before: the sixth or so. */
const rounds = 8;

/** @typedef {{ fresh: number, collected: number }} Growth KiB a connection */

/** RSS of the server a connection, idle ones.
 * @param {{ quick: boolean, serverFlags: readonly string[] }} options @returns {Promise<import("./report.mjs").Result>} */
export async function measureRss({ quick, serverFlags }) {
  const count = quick ? 5_000 : 15_000;
  const pairs = await measurePairs(
    quick ? 1 : 2,
    () => measure("servers/gateway.mjs", [...programFlags("gateway"), ...serverFlags], count),
    () => measure("servers/ws.mjs", [], count),
  );
  const of = (/** @type {"ours" | "ws"} */ side, /** @type {keyof Growth} */ what) => median(pairs.map((pair) => pair[side][what]));
  const ratios = pairs.map((pair) => pair.ours.collected / pair.ws.collected);
  return {
    title: `RSS a connection, ${count.toLocaleString("en-US")} idle`,
    rows: [
      { label: "KiB a connection, idle", ours: of("ours", "collected"), ws: of("ws", "collected"), digits: 2 },
      { label: "KiB right after the handshakes", ours: of("ours", "fresh"), ws: of("ws", "fresh"), digits: 2 },
    ],
    ratio: { label: "rss: gateway / ws", value: median(ratios), spread: ratios },
    target: { label: `≤ ${targetKib} KiB a connection, idle`, isMet: of("ours", "collected") <= targetKib },
  };
}

/** The slope between a few connections and all of them: what a process costs by itself is in neither. `fresh` is right after the last handshake,
 *  with its garbage; `collected` is what V8 comes to by itself when it finds the process idle (after 30 s with a gateway), here at once.
 * @param {string} script @param {readonly string[]} flags @param {number} count @returns {Promise<Growth>} */
async function measure(script, flags, count) {
  const server = startServer(script, ["--expose-gc", ...flags]);
  const load = startLoad("load/idle.mjs");
  try {
    const { port } = await server.ask("addresses");
    await load.ask("open", { port, count: warmUpConnections });
    const before = await settle(server);
    await load.ask("open", { port, count: count - warmUpConnections });
    await sleep(2 * roundMs);
    const fresh = residentKib(server.pid);
    const collected = await settle(server);
    const open = await server.ask("connections");
    if (open !== count) throw new Error(`${script} holds ${open} connections instead of ${count}`);
    const opened = count - warmUpConnections;
    return { fresh: (fresh - before) / opened, collected: (collected - before) / opened };
  } finally {
    await server.stop();
    await load.stop();
  }
}

/** KiB, when collections no longer change it.
 * @param {import("./processes.mjs").Peer} server */
async function settle(server) {
  for (let round = 0; round < rounds; round++) {
    await server.ask("collect");
    await sleep(roundMs);
  }
  return residentKib(server.pid);
}
