import { setTimeout as sleep } from "node:timers/promises";
import { cpuMs, startLoad, startServer } from "./processes.mjs";
import { programFlags } from "./program-flags.mjs";
import { measurePairs, median } from "./statistics.mjs";

const warmUpMs = 2_000;

/** Handshakes: upgrade, hello, close, in a closed loop.
 * @param {{ quick: boolean, serverFlags: readonly string[] }} options @returns {Promise<import("./report.mjs").Result>} */
export async function measureHandshakes({ quick, serverFlags }) {
  const measureMs = quick ? 2_000 : 5_000;
  const pairs = await measurePairs(
    quick ? 1 : 3,
    () => measure("servers/gateway.mjs", [...programFlags("gateway"), ...serverFlags], measureMs),
    () => measure("servers/ws.mjs", [], measureMs),
  );
  const of = (/** @type {"ours" | "ws"} */ side, /** @type {"perSecond" | "perCore" | "cpuMsPer1000"} */ what) =>
    median(pairs.map((pair) => pair[side][what]));
  const ratios = pairs.map((pair) => pair.ours.perCore / pair.ws.perCore);
  return {
    title: "Handshakes, JWT and memory registry against neither",
    rows: [
      { label: "handshakes/s a core", ours: of("ours", "perCore"), ws: of("ws", "perCore"), digits: 0 },
      { label: "server CPU ms per 1,000", ours: of("ours", "cpuMsPer1000"), ws: of("ws", "cpuMsPer1000"), digits: 1 },
      { label: "handshakes/s seen by the load", ours: of("ours", "perSecond"), ws: of("ws", "perSecond"), digits: 0 },
    ],
    ratio: { label: "handshakes: gateway / ws", value: median(ratios), spread: ratios },
    target: { label: "> 1 × ws", isMet: median(ratios) > 1 },
  };
}

/** `perSecond` is what the load saw; `perCore` what the server would do with its core busy all the time, from the CPU it used: the load has
 *  only one core too, and is often the slower one.
 * @param {string} script @param {readonly string[]} flags @param {number} measureMs */
async function measure(script, flags, measureMs) {
  const server = startServer(script, flags);
  const load = startLoad("load/handshakes.mjs");
  try {
    const { port } = await server.ask("addresses");
    await load.ask("begin", { port });
    await sleep(warmUpMs);
    const [count, cpu, startedMs] = [await load.ask("count"), cpuMs(server.pid), performance.now()];
    await sleep(measureMs);
    const handshakes = (await load.ask("count")) - count;
    const usedMs = cpuMs(server.pid) - cpu;
    const tookMs = performance.now() - startedMs;
    await load.ask("finish");
    return { perSecond: (handshakes / tookMs) * 1000, perCore: (handshakes / usedMs) * 1000, cpuMsPer1000: (usedMs / handshakes) * 1000 };
  } finally {
    await server.stop();
    await load.stop();
  }
}
