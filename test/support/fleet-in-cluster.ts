import { type Client, connect, type WebSocketConstructor } from "@pushfleet/client";
import type { FleetRole, TlsPem } from "@pushfleet/service";
import { WebSocket } from "ws";
import { waitFor } from "../peers/wait-for.js";
import { signToken } from "./device.js";
import { fleetManifest, fleetSpec, onePool, opaqueSecret, publishersSecret, type SecretNames } from "./fleet-manifest.js";
import { isConditionTrue, isDeleting, type Pod, type Secret } from "./kubelet/objects.js";
import type { OperatorCluster } from "./operator-cluster.js";

/** A fleet's own keys, so that a token of one fleet opens nothing in another either. */
export interface FleetKeys {
  readonly jwtSecret: string;
  readonly publishToken: string;
}

/** A device of a user in one fleet, and everything it is told. */
export class FleetDevice {
  readonly user: string;
  readonly client: Client;
  /** Ids of the notification frames as they came: one that comes twice is here twice. */
  readonly notified: string[] = [];
  /** Ids that another device has read. */
  readonly marked: string[] = [];
  /** Ids that were handed on as unread. */
  readonly unread: string[] = [];
  losses = 0;

  constructor(options: { readonly url: string; readonly user: string; readonly device: string; readonly token: string }) {
    const { url, user, device, token } = options;
    this.user = user;
    this.client = connect({
      ...{ url, token, device, WebSocket: WebSocket as unknown as WebSocketConstructor },
      onFrame: (text) => this.#take(JSON.parse(text) as Frame),
      onNotification: ({ notificationId, read }) => {
        if (!read) this.unread.push(notificationId);
      },
      onMarkRead: (ids) => this.marked.push(...ids),
      onReconnected: (_, how) => {
        if (how === "lost") this.losses += 1;
      },
    });
  }

  /** Connected, and its first sync is over. */
  get isLive(): boolean {
    return this.client.state.kind === "live" && this.client.cursor !== undefined;
  }

  #take({ type, notification_id }: Frame): void {
    if (type === "notification") this.notified.push(notification_id ?? "");
  }
}

interface Frame {
  readonly type: string;
  readonly notification_id?: string;
}

/** One PushGateway in a test's cluster: its manifest, where its parts are, its devices, its publisher over HTTP. */
export class FleetInCluster {
  readonly namespace: string;
  readonly name: string;
  readonly devices: FleetDevice[] = [];
  readonly #cluster: OperatorCluster;
  readonly #keys: FleetKeys;

  constructor(cluster: OperatorCluster, namespace: string, name: string, keys: FleetKeys) {
    this.namespace = namespace;
    this.name = name;
    this.#cluster = cluster;
    this.#keys = keys;
  }

  /** "namespace/name" */
  get place(): string {
    return `${this.namespace}/${this.name}`;
  }

  get #secretNames(): SecretNames {
    return { jwt: `${this.name}-jwt`, publishers: `${this.name}-publishers` };
  }

  /** The Secrets that `manifest` names. */
  get secrets(): readonly object[] {
    const { jwt, publishers } = this.#secretNames;
    const { jwtSecret, publishToken } = this.#keys;
    return [opaqueSecret(this.namespace, jwt, { key: jwtSecret }), publishersSecret(this.namespace, publishToken, publishers)];
  }

  /** One gateway and one router. */
  spec(redisUrl: string) {
    return { ...fleetSpec(redisUrl, this.#secretNames), pools: [onePool({ minReplicas: 1 })] };
  }

  /** Fields of `spec` replace those of the one above. */
  manifest(redisUrl: string, spec: object = {}): object {
    return fleetManifest(this, redisUrl, { ...this.spec(redisUrl), ...spec });
  }

  /** Until its gateways serve and its routers are ready. */
  async waitUntilServing(gateways = 1): Promise<void> {
    await this.#cluster.waitForFleet(
      this.namespace,
      this.name,
      `serving ${gateways}`,
      ({ status }) => status?.pods?.serving === gateways,
      60_000,
    );
    await waitFor(() => this.addressOf("router").catch(() => undefined), { what: `a router of ${this.place}`, deadlineMs: 60_000 });
  }

  async podsOf(component: "gateway" | "router"): Promise<readonly Pod[]> {
    const selector = encodeURIComponent(`pushfleet.dev/fleet=${this.name},app.kubernetes.io/component=${component}`);
    const { body } = await this.#cluster.kubernetes.request("GET", `/api/v1/namespaces/${this.namespace}/pods?labelSelector=${selector}`);
    const { items } = body as { readonly items: readonly Pod[] };
    return items.filter((pod) => !isDeleting(pod));
  }

  /** Of a pod that is ready. Throws while there is none. */
  async addressOf(component: "gateway" | "router"): Promise<string> {
    const ready = (await this.podsOf(component)).find((pod) => isConditionTrue(pod, "Ready"))?.status?.podIP;
    if (ready === undefined) throw new Error(`no ${component} of ${this.place} is ready`);
    return ready;
  }

  /** Connects a device to one of its gateways. */
  async connect(user: string, device: string): Promise<FleetDevice> {
    const one = await this.open(user, device);
    await waitFor(() => one.isLive, { what: `${user}/${device} of ${this.place} to be live` });
    return one;
  }

  /** The same without waiting. `jwtSecret`: another one than the fleet's. */
  async open(user: string, device: string, jwtSecret = this.#keys.jwtSecret): Promise<FleetDevice> {
    const token = await signToken(user, jwtSecret);
    const one = new FleetDevice({ url: `ws://${await this.addressOf("gateway")}:8080/connect`, user, device, token });
    this.devices.push(one);
    return one;
  }

  /** One notification over the router's HTTP. Answers the status. */
  async publish(user: string, id: string, publishToken = this.#keys.publishToken): Promise<number> {
    const answer = await fetch(`http://${await this.addressOf("router")}:8081/v1/notifications`, {
      method: "POST",
      headers: { authorization: `Bearer ${publishToken}`, "content-type": "application/json" },
      body: JSON.stringify({ user_id: user, notification_id: id, data: { id } }),
    });
    await answer.text();
    return answer.status;
  }

  /** A certificate as the API hands it out to whoever may read Secrets: that of a gateway, or of the routers. */
  async certificateOf(role: Extract<FleetRole, "gateway" | "router">): Promise<TlsPem> {
    const [gateway] = await this.podsOf("gateway");
    const data = await this.readSecret(role === "router" ? `${this.name}-router-tls` : `${gateway?.metadata.name}-tls`);
    return { cert: data["tls.crt"] ?? "", key: data["tls.key"] ?? "", ca: data["ca.crt"] ?? "" };
  }

  /** Entries as text. */
  async readSecret(name: string): Promise<Readonly<Record<string, string>>> {
    const { status, body } = await this.#cluster.kubernetes.request("GET", `/api/v1/namespaces/${this.namespace}/secrets/${name}`);
    if (status !== 200) throw new Error(`Secret ${this.namespace}/${name}: ${JSON.stringify(body)}`);
    const entries = Object.entries((body as Secret).data ?? {});
    return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]));
  }

  close(): void {
    for (const device of this.devices) device.client.close();
  }
}
