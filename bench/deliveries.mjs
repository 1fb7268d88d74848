import { setTimeout as sleep } from "node:timers/promises";
import { cpuMs, startLoad, startServer } from "./processes.mjs";
import { programFlags } from "./program-flags.mjs";
import { measurePairs, median } from "./statistics.mjs";

const connections = 1_000;
const frameBytes = 200;
/** RFC 6455 §5.2: a server's frame of 126 to 65,535 bytes has four bytes before it. */
const wireBytes = frameBytes + 4;
const warmUpMs = 2_000;
const drainMsMax = 10_000;
const targetRatio = 2;

/** Deliveries from a gRPC stream to sockets.
 * @param {{ quick: boolean, serverFlags: readonly string[] }} options @returns {Promise<import("./report.mjs").Result>} */
export async function measureDeliveries({ quick, serverFlags }) {
  const measureMs = quick ? 2_000 : 5_000;
  const pairs = await measurePairs(
    quick ? 1 : 3,
    () => measure("servers/gateway.mjs", [...programFlags("gateway"), ...serverFlags], measureMs),
    () => measure("servers/ws-grpc.mjs", [], measureMs),
  );
  const of = (/** @type {"ours" | "ws"} */ side, /** @type {"perSecond" | "perCore" | "cpuUs"} */ what) =>
    median(pairs.map((pair) => pair[side][what]));
  const ratios = pairs.map((pair) => pair.ours.perCore / pair.ws.perCore);
  return {
    title: `Deliveries from gRPC to ${connections} sockets, ${frameBytes} bytes each`,
    rows: [
      { label: "deliveries/s a core", ours: of("ours", "perCore"), ws: of("ws", "perCore"), digits: 0 },
      { label: "server CPU µs a delivery", ours: of("ours", "cpuUs"), ws: of("ws", "cpuUs"), digits: 1 },
      { label: "deliveries/s seen by the load", ours: of("ours", "perSecond"), ws: of("ws", "perSecond"), digits: 0 },
    ],
    ratio: { label: "deliveries: gateway / ws", value: median(ratios), spread: ratios },
    target: { label: `≥ ${targetRatio} × ws`, isMet: median(ratios) >= targetRatio },
  };
}

/** Counted where the frames arrive. `perSecond` is what the load saw, `perCore` follows from the CPU the server used.
 * @param {string} script @param {readonly string[]} flags @param {number} measureMs */
async function measure(script, flags, measureMs) {
  const server = startServer(script, flags);
  const reader = startLoad("load/sockets.mjs");
  const feeder = startLoad("load/feeder.mjs");
  try {
    const { port, grpc } = await server.ask("addresses");
    const targets = await reader.ask("open", { port, count: connections });
    await reader.ask("discard");
    await feeder.ask("begin", { address: grpc, targets, frameBytes });
    await sleep(warmUpMs);
    const [received, cpu, startedMs] = [await reader.ask("received"), cpuMs(server.pid), performance.now()];
    await sleep(measureMs);
    const deliveries = ((await reader.ask("received")) - received) / wireBytes;
    const usedMs = cpuMs(server.pid) - cpu;
    const tookMs = performance.now() - startedMs;
    const { answered, written } = await feeder.ask("finish");
    if (written !== answered) throw new Error(`${script}: ${answered - written} of ${answered} deliveries were not written`);
    await waitFor(reader, written * wireBytes);
    return { perSecond: (deliveries / tookMs) * 1000, perCore: (deliveries / usedMs) * 1000, cpuUs: (usedMs / deliveries) * 1000 };
  } finally {
    await server.stop();
    await Promise.all([reader.stop(), feeder.stop()]);
  }
}

/** Every frame that was answered for has come; a few bytes more are pings.
 * @param {import("./processes.mjs").Peer} reader @param {number} bytes */
async function waitFor(reader, bytes) {
  for (let waitedMs = 0; waitedMs < drainMsMax; waitedMs += 50) {
    if ((await reader.ask("received")) >= bytes) return;
    await sleep(50);
  }
  throw new Error(`${bytes - (await reader.ask("received"))} bytes of what was written have not come`);
}
