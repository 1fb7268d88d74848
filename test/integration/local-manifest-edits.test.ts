import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { LocalFleet } from "../../cli/src/local/local-fleet.js";
import { readManifest } from "../../cli/src/local/manifest-file.js";
import { openClients, type StormClients } from "../../cli/src/storm/clients.js";
import { publishToAll } from "../../cli/src/storm/publish.js";
import { Tally } from "../../cli/src/storm/tally.js";
import { freePort } from "../peers/free-port.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";

const secret = "secret-of-local-mode";
const clientCount = 24;
const reconnectsPerSecond = 20;

/** Small enough that a drain fits its deadline, slow enough that its budget shows; a rollout soaks a second. */
const spec = {
  pools: [{ name: "default", minReplicas: 2, maxReplicas: 4, softConnections: 100, hardConnections: 200 }],
  drain: { reconnectsPerSecond, deadlineSeconds: 60, stragglerGraceSeconds: 3 },
  rollout: { soakSeconds: 1 },
};
const pool = spec.pools[0];

/** A fleet of two gateways in local mode with real clients on it, to whom something is published all the time. */
class EditedFleet {
  readonly reports: string[] = [];
  readonly tally = new Tally();
  readonly #folder: TemporaryFolder;
  readonly #fleet: LocalFleet;
  readonly #abort = new AbortController();
  readonly #ports: { readonly client: number; readonly http: number };
  #clients: StormClients | undefined;
  #publishing: Promise<void> | undefined;
  #refused = 0;

  private constructor(folder: TemporaryFolder, ports: { readonly client: number; readonly http: number; readonly console: number }) {
    this.#folder = folder;
    this.#ports = ports;
    this.edit(spec);
    const read = readManifest(this.#file);
    if (read.kind !== "manifest") throw new Error(JSON.stringify(read));
    const report = (line: string): void => void this.reports.push(line);
    this.#fleet = new LocalFleet({ manifestFile: this.#file, manifest: read.manifest, jwtSecret: secret, ports, report });
  }

  static async start(): Promise<EditedFleet> {
    const ports = { client: await freePort(), http: await freePort(), console: await freePort() };
    const it = new EditedFleet(await temporaryFolder("edits"), ports);
    await it.#fleet.start();
    const url = `ws://127.0.0.1:${ports.client}/connect`;
    it.#clients = await openClients({ url, count: clientCount, secret, tally: it.tally, signal: it.#abort.signal });
    it.#publishing = it.#publish(it.#clients.users);
    return it;
  }

  get #file(): string {
    return join(this.#folder.path, "fleet.yaml");
  }

  /** JSON is YAML. */
  edit(to: object): void {
    writeFileSync(
      this.#file,
      JSON.stringify({ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "edited" }, spec: to }),
    );
  }

  get pods() {
    return this.#fleet.live().status?.pods ?? [];
  }

  /** Names of the gateways in this state. */
  inState(state: string): readonly string[] {
    return this.pods.filter((pod) => pod.state === state).map((pod) => pod.name);
  }

  async reported(text: string): Promise<void> {
    await waitFor(() => this.reports.join("\n").includes(text), { what: `the report "${text}"` });
  }

  /** `count` gateways that serve, and no other. */
  async settles(count: number, which: (name: string) => boolean = () => true): Promise<void> {
    const isSettled = () => this.pods.length === count && this.inState("Serving").filter(which).length === count;
    const pods = () => this.pods.map((pod) => `${pod.name} ${pod.state} ${pod.connections}`).join(", ");
    await waitFor(() => isSettled() || Promise.reject(new Error(`${pods()}; ${JSON.stringify(this.#fleet.live().status?.plan)}`)), {
      what: `${count} gateways that serve`,
      deadlineMs: 45_000,
    });
  }

  /** Nobody lost anything, nor was disconnected, and nobody moved faster than the budget allows. */
  async endsWell(): Promise<void> {
    this.#abort.abort();
    await this.#publishing;
    await waitFor(() => this.#clients?.live() === clientCount, { what: "every client to be connected" });
    await waitFor(() => this.tally.missing === 0, { what: "every notification to arrive" });
    expect(this.#refused).toBe(0);
    expect(this.tally.published).toBeGreaterThan(clientCount);
    expect(this.tally.lostConnections, "connections that were lost rather than handed over").toBe(0);
    expect(this.tally.duplicates).toBe(0);
    expect(this.tally.peakMovesPerSecond).toBeLessThanOrEqual(reconnectsPerSecond);
  }

  async #publish(users: readonly string[]): Promise<void> {
    const url = `http://127.0.0.1:${this.#ports.http}/v1/notifications`;
    for (let round = 0; !this.#abort.signal.aborted; round++) {
      this.#refused += (await publishToAll({ url, users, round, tally: this.tally })).refused;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#publishing?.catch(() => {}); // told by the test itself
    this.#clients?.close();
    await this.#fleet.stop();
    await this.#folder.remove();
  }
}

const fleets: EditedFleet[] = [];

async function startFleet(): Promise<EditedFleet> {
  const fleet = await EditedFleet.start();
  fleets.push(fleet);
  return fleet;
}

afterAll(() => Promise.all(fleets.map((fleet) => fleet.stop())));

describe.concurrent("an edit of the manifest, with clients connected, loses nothing and disconnects nobody", () => {
  test("that is wrong changes nothing; minReplicas and maxReplicas up and down add and drain gateways", async () => {
    const fleet = await startFleet();
    const before = fleet.inState("Serving");
    expect(before).toHaveLength(2);
    fleet.edit({ ...spec, pools: [{ ...pool, softConnections: 300 }] });
    await fleet.reported("the edit was not applied");
    expect(fleet.reports[0]).toContain("spec.pools[0].softConnections: 300 is not right");
    expect(fleet.inState("Serving")).toEqual(before);
    expect(fleet.tally.moves).toBe(0);

    fleet.edit({ ...spec, pools: [{ ...pool, minReplicas: 3 }] });
    await fleet.settles(3);
    expect(fleet.inState("Serving")).toEqual(expect.arrayContaining([...before]));
    fleet.edit({ ...spec, pools: [{ ...pool, minReplicas: 1, maxReplicas: 1 }] });
    await fleet.settles(1);
    await fleet.endsWell();
    expect(fleet.tally.handOvers).toBeGreaterThan(0);
  });

  test("of what gateways are made of rolls them; paused it gives the cordoned ones back, resumed it ends", async () => {
    const fleet = await startFleet();
    const before = fleet.inState("Serving");
    const rolled = { ...spec, gateway: { heartbeat: { intervalSeconds: 20, timeoutSeconds: 60 } } };
    fleet.edit(rolled);
    await waitFor(() => fleet.inState("Draining").length === 1, { what: "an old gateway to drain", deadlineMs: 20_000 });
    fleet.edit({ ...rolled, rollout: { ...spec.rollout, paused: true } });
    await waitFor(() => fleet.inState("Serving").length === fleet.pods.length, { what: "every gateway to serve again" });
    expect(fleet.inState("Serving")).toEqual(expect.arrayContaining([...before]));
    const { moves, published } = fleet.tally;
    await waitFor(() => fleet.tally.published >= published + 20 * clientCount, { what: "twenty more rounds of notifications" });
    expect(fleet.tally.moves, "moves of a paused rollout").toBe(moves);

    fleet.edit(rolled);
    await waitFor(() => fleet.pods.length > 0 && fleet.inState("Serving").every((name) => !before.includes(name)), {
      what: "only gateways of the new revision to serve",
      deadlineMs: 45_000,
    });
    await waitFor(() => fleet.pods.every((pod) => !before.includes(pod.name)), { what: "the old gateways to be gone", deadlineMs: 45_000 });
    await fleet.endsWell();
    expect(fleet.tally.handOvers).toBeGreaterThanOrEqual(clientCount);
  });

  test("that renames a pool replaces its gateways; replicas of autoscaling External are followed up and down", async () => {
    const fleet = await startFleet();
    const renamed = { ...spec, pools: [{ ...pool, name: "renamed" }] };
    fleet.edit(renamed);
    await fleet.settles(2, (name) => name.startsWith("edited-renamed-"));
    expect(fleet.tally.handOvers).toBeGreaterThanOrEqual(clientCount);

    const external = (replicas: number) => ({ ...renamed, autoscaling: { mode: "External" }, replicas });
    fleet.edit(external(3));
    await fleet.settles(3);
    fleet.edit(external(2));
    await fleet.settles(2);
    await fleet.endsWell();
  });
});
