import type { FleetStatus } from "@pushfleet/operator";
import type { ExitCode, Io, OutputFormat } from "../io.js";
import { describeUnusable, readManifest } from "../local/manifest-file.js";
import { openClients, type StormClients } from "../storm/clients.js";
import { type FleetProcess, startFleetProcess } from "../storm/fleet-process.js";
import { publishToAll } from "../storm/publish.js";
import { Tally } from "../storm/tally.js";
import { localPorts } from "./local.js";

export interface StormOptions {
  readonly file: string;
  readonly clients: string;
  readonly jwtSecret: string;
  readonly output: OutputFormat;
}

const scaleTimeoutMs = 60_000;
const drainTimeoutMs = 120_000;
const arriveTimeoutMs = 30_000;
const roundMs = 1_000;

/** Opens clients, publishes to all of them every second, waits for the autoscaler to add gateways, has one drained, and reports. 0: nothing
 *  was lost; 1: something was, or a step did not happen in time; 2: bad arguments. */
export async function storm(options: StormOptions, io: Io): Promise<ExitCode> {
  const count = Number(options.clients);
  if (!Number.isInteger(count) || count < 1 || count > 8000) {
    io.error("pushfleet storm: --clients: expected a whole number from 1 to 8000\n");
    return 2;
  }
  const manifest = readManifest(options.file);
  if (manifest.kind !== "manifest") {
    for (const line of describeUnusable(options.file, manifest)) io.error(`${line}\n`);
    return 2;
  }
  const say = (text: string): void => io.error(text);
  let fleet: FleetProcess | undefined;
  try {
    fleet = await startFleetProcess({ manifest: options.file, secret: options.jwtSecret, print: say });
    return await run({ fleet, count, budget: manifest.manifest.spec.drain.reconnectsPerSecond, options, io, say });
  } catch (cause) {
    io.error(`pushfleet storm: ${(cause as Error).message}\n`);
    return 1;
  } finally {
    await fleet?.stop();
  }
}

interface Storm {
  readonly fleet: FleetProcess;
  readonly count: number;
  readonly budget: number;
  readonly options: StormOptions;
  readonly io: Io;
  readonly say: (text: string) => void;
}

async function run(storm: Storm): Promise<ExitCode> {
  const { fleet, count, options, io, say } = storm;
  const tally = new Tally();
  const before = (await fleet.status()).podsByState.Serving;
  say(`opening ${count} clients on ${before} gateways\n`);
  const url = `ws://127.0.0.1:${localPorts.client}/connect`;
  const clients = await openClients({ url, count, secret: options.jwtSecret, tally, signal: io.signal });
  try {
    return await play(storm, clients, tally, before);
  } finally {
    clients.close(); // or they would come back for ever, and this process never end
  }
}

async function play(storm: Storm, clients: StormClients, tally: Tally, before: number): Promise<ExitCode> {
  const { fleet, budget, options, io, say } = storm;
  const publisher = startPublisher(clients, tally, io.signal);
  try {
    await until(fleet, (status) => status.podsByState.Serving > before, scaleTimeoutMs, "the autoscaler to add a gateway", io.signal);
    const most = await mostConnected(fleet);
    say(`draining ${most.name}: ${most.connections} connections at ${budget}/s\n`);
    await fleet.leave(most.name);
    await until(
      fleet,
      (status) => !status.pods.some((pod) => pod.name === most.name),
      drainTimeoutMs,
      `${most.name} to be drained and deleted`,
      io.signal,
    );
  } finally {
    await publisher.stop();
  }
  await arrival(tally, io.signal);
  const after = (await fleet.status()).podsByState.Serving;
  const report = summarize({ tally, clients, budget, before, after, refused: publisher.refused() });
  io.out(options.output === "json" ? `${JSON.stringify(report)}\n` : describe(report));
  return report.lost === 0 && !io.signal.aborted ? 0 : 1;
}

/** A round to every user each second, until stopped; the last round is finished. */
function startPublisher(clients: StormClients, tally: Tally, signal: AbortSignal) {
  let running = true;
  let refused = 0;
  const loop = (async () => {
    for (let round = 0; running && !signal.aborted; round++) {
      const startedMs = performance.now();
      const result = await publishToAll({
        url: `http://127.0.0.1:${localPorts.http}/v1/notifications`,
        users: clients.users,
        round,
        tally,
      });
      refused += result.refused;
      await sleep(Math.max(0, roundMs - (performance.now() - startedMs)));
    }
  })();
  return {
    refused: () => refused,
    stop: async () => {
      running = false;
      await loop;
    },
  };
}

async function mostConnected(fleet: FleetProcess) {
  const serving = (await fleet.status()).pods.filter((pod) => pod.state === "Serving");
  const [most] = [...serving].sort((a, b) => b.connections - a.connections);
  if (most === undefined) throw new Error("no gateway serves");
  return most;
}

async function until(
  fleet: FleetProcess,
  condition: (status: FleetStatus) => boolean,
  timeoutMs: number,
  what: string,
  signal: AbortSignal,
): Promise<void> {
  const giveUpMs = performance.now() + timeoutMs;
  for (;;) {
    const status = await fleet.status();
    if (condition(status)) return;
    if (signal.aborted) throw new Error("stopped");
    if (performance.now() > giveUpMs)
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}: ${status.plan[0]?.why ?? "the plan is empty"}`);
    await sleep(200);
  }
}

async function arrival(tally: Tally, signal: AbortSignal): Promise<void> {
  const giveUpMs = performance.now() + arriveTimeoutMs;
  while (tally.missing > 0 && performance.now() < giveUpMs && !signal.aborted) await sleep(100);
}

function summarize(facts: {
  readonly tally: Tally;
  readonly clients: StormClients;
  readonly budget: number;
  readonly before: number;
  readonly after: number;
  readonly refused: number;
}) {
  const { tally, clients } = facts;
  return {
    clients: clients.users.length,
    opened: clients.opened(),
    liveAtEnd: clients.live(),
    gatewaysBefore: facts.before,
    gatewaysAfter: facts.after,
    published: tally.published,
    refused: facts.refused,
    delivered: tally.delivered,
    lost: tally.missing,
    handOvers: tally.handOvers,
    lostConnections: tally.lostConnections,
    peakReconnectsPerSecond: tally.peakMovesPerSecond,
    budgetPerSecond: facts.budget,
    slowestReconnectMs: Math.round(tally.slowestReconnectMs),
  };
}

function describe(report: ReturnType<typeof summarize>): string {
  return `
clients             ${report.clients} (${report.liveAtEnd} connected at the end, ${report.opened} connections opened)
gateways            ${report.gatewaysBefore} before, ${report.gatewaysAfter} after the scale-up and the drain
notifications       ${report.published} accepted, ${report.refused} refused
delivered           ${report.delivered}
lost                ${report.lost}
reconnects          ${report.handOvers} asked and moved, ${report.lostConnections} after a lost connection
reconnects/s        ${report.peakReconnectsPerSecond} at most, of a budget of ${report.budgetPerSecond}
slowest reconnect   ${report.slowestReconnectMs} ms
`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
