import { status } from "@grpc/grpc-js";
import { connectRouters, createGateway, type Gateway, gatewayRefinements, gatewaySchema, type RouterChannels } from "@pushfleet/gateway";
import { connectionIdFromNumber, type DeviceId, type Incarnation, type UserId } from "@pushfleet/protocol";
import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { createRouter, createStore, type Router, routerRefinements, routerSchema } from "@pushfleet/router";
import {
  callUnary,
  createGrpcClient,
  createLogger,
  type FleetRole,
  gatewayService,
  healthService,
  routerService,
  systemClock,
  type TlsPem,
  v1,
  validateConfiguration,
} from "@pushfleet/service";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { ExampleAuthority } from "../support/certificates.js";
import { Device, signToken } from "../support/device.js";
import { MountedSecret } from "../support/mounted-secret.js";

const secret = "integration-secret-of-32-bytes-or-more";
const logger = createLogger("test", "silent");
const host = "127.0.0.1";

/** A router and gateways in this process, that speak by TLS only, each with a certificate of its own as a kubelet mounts it. */
class SecureFleet {
  readonly name: string;
  readonly authority: ExampleAuthority;
  readonly registry: Registry;
  readonly gateways: Gateway[] = [];
  readonly devices: Device[] = [];
  readonly #folder: TemporaryFolder;
  readonly #secrets = new Map<string, MountedSecret>();
  readonly #links: RouterChannels[] = [];
  #router: Router | undefined;

  private constructor(name: string, authority: ExampleAuthority, registry: Registry, folder: TemporaryFolder) {
    this.name = name;
    this.authority = authority;
    this.registry = registry;
    this.#folder = folder;
  }

  static async create(name: string, registry: Registry, authority?: ExampleAuthority): Promise<SecureFleet> {
    return new SecureFleet(name, authority ?? (await ExampleAuthority.create(name)), registry, await temporaryFolder(name));
  }

  get router(): Router {
    if (this.#router === undefined) throw new Error("there is no router");
    return this.#router;
  }

  issue(role: FleetRole, id: string): Promise<TlsPem> {
    return this.authority.issue({ uris: [`pushfleet://shop/${this.name}/${role}/${id}`] });
  }

  async startRouter(): Promise<void> {
    const tls = await this.#mount("router", `${this.name}-router`);
    const free = { host, port: 0 };
    const raw = { http: free, admin: free, grpc: { ...free, tls }, registry: { kind: "memory" }, store: { kind: "memory" } };
    const configured = validateConfiguration(routerSchema, raw, routerRefinements);
    if (configured.kind === "faults") throw new Error(JSON.stringify(configured.faults));
    const store = createStore(configured.value.store, { clock: systemClock });
    this.#router = await createRouter(configured.value, { registry: this.registry, store, clock: systemClock, logger });
  }

  /** `certificateOf`: another gateway's certificate than its own. */
  async startGateway(id: string, certificateOf = id): Promise<Gateway> {
    const tls = await this.#mount("gateway", certificateOf);
    const free = { host, port: 0 };
    const raw = {
      id,
      listen: free,
      admin: free,
      grpc: { ...free, tls },
      auth: { hs256Secret: secret },
      registry: { kind: "memory" },
      router: { addresses: [this.router.addresses.grpc] },
    };
    const configured = validateConfiguration(gatewaySchema, raw, gatewayRefinements);
    if (configured.kind === "faults") throw new Error(JSON.stringify(configured.faults));
    const config = configured.value;
    const parts = { clock: systemClock, logger };
    const router = connectRouters({ ...config.router, tls, ...parts });
    this.#links.push(router);
    const gateway = await createGateway(config, { ...parts, registry: this.registry, router });
    this.gateways.push(gateway);
    return gateway;
  }

  async connect(gateway: Gateway, user: string, device = "phone"): Promise<Device> {
    const url = `ws://${gateway.addresses.client}/connect`;
    const one = new Device({ url, user, device, token: await signToken(user, secret, 300) });
    this.devices.push(one);
    await waitFor(() => one.isLive, { what: "the device to connect" });
    return one;
  }

  async publish(user: string, id: string): Promise<number> {
    const response = await fetch(`http://${this.router.addresses.http}/v1/notifications`, {
      method: "POST",
      body: JSON.stringify({ user_id: user, notification_id: id, data: 1 }),
    });
    return response.status;
  }

  /** Every process gets another leaf, as an operator renews them. */
  async renewAll(): Promise<void> {
    for (const [uri, mounted] of this.#secrets) mounted.write(asFiles(await this.authority.issue({ uris: [uri] })));
  }

  async stop(): Promise<void> {
    for (const device of this.devices) device.client.close();
    for (const gateway of this.gateways) await gateway.stop({ kind: "close" });
    for (const link of this.#links) link.stop();
    await this.#router?.stop();
    await this.#folder.remove();
  }

  async #mount(role: FleetRole, id: string) {
    const folder = await temporaryFolder(id);
    const mounted = new MountedSecret(folder.path, asFiles(await this.issue(role, id)));
    this.#secrets.set(`pushfleet://shop/${this.name}/${role}/${id}`, mounted);
    return { certFile: mounted.path("tls.crt"), keyFile: mounted.path("tls.key"), caFile: mounted.path("ca.crt") };
  }
}

const asFiles = ({ cert, key, ca }: TlsPem) => ({ "tls.crt": cert, "tls.key": key, "ca.crt": ca });

let registry: Registry;
let fleet: SecureFleet;
const fleets: SecureFleet[] = [];
beforeEach(async () => {
  registry = createMemoryRegistry({ clock: systemClock });
  await registry.start();
  fleet = await createFleet("demo");
  await fleet.startRouter();
});
afterEach(async () => {
  for (const one of fleets.splice(0)) await one.stop();
});

async function createFleet(name: string, authority?: ExampleAuthority): Promise<SecureFleet> {
  const created = await SecureFleet.create(name, registry, authority);
  fleets.push(created);
  return created;
}

type Unary<Request, Reply> = Parameters<typeof callUnary<Request, Reply>>[1];

/** The code of a call to `address` with the certificate `tls`, by somebody who does not care who answers. */
async function codeOf<Request, Reply>(
  address: string,
  tls: TlsPem,
  expected: { readonly role: FleetRole },
  definition: Unary<Request, Reply>,
  request: Request,
): Promise<string> {
  const client = createGrpcClient(address, tls, { expect: expected });
  try {
    await callUnary(client, definition, request, 5_000);
    return "OK";
  } catch (cause) {
    return status[(cause as { readonly code: number }).code] ?? "none";
  } finally {
    client.close();
  }
}

describe("I7: a fleet that speaks by TLS", () => {
  test("delivers, syncs, acknowledges, and tells a gateway of a connection that another one replaced", async () => {
    const [one, two] = [await fleet.startGateway("gw-1"), await fleet.startGateway("gw-2")];
    const phone = await fleet.connect(one, "usr_42");
    expect(await fleet.publish("usr_42", "n1")).toBe(202);
    await waitFor(() => phone.received.length === 1, { what: "the notification" });

    const again = await fleet.connect(two, "usr_42");
    await waitFor(() => one.status().connections === 0, { what: "the replaced connection to be closed" });
    expect(await fleet.publish("usr_42", "n2")).toBe(202);
    await waitFor(() => again.received.some(({ id }) => id === "n2"), { what: "the second notification" });
    expect(phone.received.map(({ id }) => id)).toEqual(["n1"]);
  });

  test("lets each role do its own, and nothing else", async () => {
    const gateway = await fleet.startGateway("gw-1");
    const { grpc } = gateway.addresses;
    const router = fleet.router.addresses.grpc;
    const grant = new v1.DrainRequest({ grant: { reconnectsPerSecond: 0, deadlineMs: Date.now() + 60_000, epoch: 1 }, reason: "test" });
    const codes: (readonly [string, FleetRole, string])[] = [];
    for (const role of ["gateway", "router", "operator"] as const) {
      const tls = await fleet.issue(role, "somebody");
      const atGateway = <Q, R>(definition: Unary<Q, R>, request: Q) => codeOf(grpc, tls, { role: "gateway" }, definition, request);
      const atRouter = <Q, R>(definition: Unary<Q, R>, request: Q) => codeOf(router, tls, { role: "router" }, definition, request);
      codes.push(["sync", role, await atRouter(routerService.sync, new v1.SyncRequest({ user: "usr_1" }))]);
      codes.push(["emit", role, await atRouter(routerService.emit, new v1.EmitRequest())]);
      codes.push(["publish", role, await atRouter(routerService.publish, new v1.PublishRequest({ body: Buffer.from("{}") }))]);
      codes.push(["disconnect", role, await atGateway(gatewayService.disconnect, new v1.DisconnectRequest({ user: "u" }))]);
      codes.push(["health", role, await atGateway(healthService.check, { service: "" })]);
      codes.push(["health", role, await atRouter(healthService.check, { service: "pushfleet.v1.Router" })]);
      if (role !== "operator") {
        codes.push(["drain", role, await atGateway(gatewayService.drain, grant)]);
        expect(gateway.status().state).toBe(v1.ServingState.STATE_SERVING);
      }
    }
    expect(codes.filter(([, , code]) => code !== "PERMISSION_DENIED").map(([name, role, code]) => `${role} ${name} ${code}`)).toEqual([
      "gateway sync OK",
      "gateway emit OK",
      "gateway disconnect OK",
      "gateway health OK",
      "gateway health OK",
      "router publish OK",
      "router health OK",
      "router health OK",
      "operator publish OK",
      "operator health OK",
      "operator health OK",
    ]);
    const operator = await fleet.issue("operator", "operator");
    expect(await codeOf(grpc, operator, { role: "gateway" }, gatewayService.drain, grant)).toBe("OK");
    expect(gateway.status().state).toBe(v1.ServingState.STATE_CORDONED);
  });

  test("sends nothing to a gateway that is not the one that holds the lease, nor to one of another fleet", async () => {
    const gateway = await fleet.startGateway("gw-1");
    const other = await createFleet("other", fleet.authority); // the same authority: only the name tells them apart
    await other.startRouter();
    const stranger = await other.startGateway("gw-9");
    const publishing: Promise<number>[] = [];
    for (const [index, address] of [gateway.addresses.grpc, stranger.addresses.grpc].entries()) {
      // As a pod's address is given to another pod while its lease still lives.
      const incarnation = `aaaaaaaaa${index}` as Incarnation;
      await registry.acquireLease({ incarnation, gateway: "gw-gone", address, zone: "", startedAtMs: 0 });
      const entry = { user: `usr_${index}` as UserId, device: "phone" as DeviceId, incarnation, connection: connectionIdFromNumber(1) };
      await registry.register({ ...entry, ageMs: 0, fence: undefined, tokenId: undefined, tokenIssuedAtMs: undefined });
      publishing.push(fleet.publish(entry.user, "n1"));
    }
    // A worker that cannot be reached for 10 s is asked, by the registry, to send gap: with that the publish has its outcome.
    expect(await Promise.all(publishing)).toEqual([202, 202]);
    expect(fleet.router.totals()).toMatchObject({ written: 0, overflow: 2 });
    expect([gateway.status().deliveries, stranger.status().deliveries]).toEqual([0, 0]);
  });

  test("does not start a gateway with another one's certificate, nor a router with a gateway's", async () => {
    await expect(fleet.startGateway("gw-1", "gw-2")).rejects.toThrow(/that of pushfleet:\/\/shop\/demo\/gateway\/gw-2, expected .*gw-1/);
  });

  test("renews every certificate under traffic without losing a call or a connection", async () => {
    const gateways = [await fleet.startGateway("gw-1"), await fleet.startGateway("gw-2")];
    const devices: Device[] = [];
    for (const gateway of gateways) devices.push(await fleet.connect(gateway, `usr_${devices.length}`));
    let isOver = false;
    let published = 0;
    const statuses = new Set<number>();
    const publishing = (async () => {
      while (!isOver) {
        published += 1;
        for (const { user } of devices) statuses.add(await fleet.publish(user, `n${published}`));
      }
    })();
    const said = vi.spyOn(logger, "info");
    await fleet.renewAll();
    const renewals = () => said.mock.calls.filter((line: readonly unknown[]) => line[1] === "certificate renewed").length;
    // A router, two gateways, and the channels of these two to the router.
    await waitFor(() => renewals() === 5, { what: "five renewals", deadlineMs: 20_000 });
    const late = await fleet.startGateway("gw-3"); // its handshakes are with the renewed ones
    devices.push(await fleet.connect(late, "usr_late"));
    const shownAt = published;
    await waitFor(() => published > shownAt + 5, { what: "some more traffic" });
    isOver = true;
    await publishing;
    expect(statuses).toEqual(new Set([202]));
    await waitFor(() => devices[0]?.received.length === published && devices[1]?.received.length === published, { what: "all of them" });
    expect(devices.map(({ losses, handOvers }) => [losses, handOvers])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
  });
});
