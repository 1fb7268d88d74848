import { type Client, connect, type WebSocketConstructor } from "@pushfleet/client";
import { WebSocket } from "ws";
import { type PassThrough, startPassThrough } from "../../operator/src/local/pass-through.js";
import { signToken } from "./device.js";
import { isConditionTrue, isDeleting, isFinished, type Pod } from "./kubelet/objects.js";

const TICK_MS = 5;

/** Clients of a fleet whose gateways are real processes, behind a balancer that sends new connections to ready ones with the fewest. */
export class LiveFleet {
  /** What must never be, in words. */
  readonly faults: string[] = [];
  readonly users: string[] = [];
  readonly received = new Set<string>();
  readonly #balancer: PassThrough;
  readonly #secret: string;
  readonly #budget: number;
  readonly #clients: Client[] = [];
  readonly #pods = new Map<string, Pod>();
  readonly #timer: NodeJS.Timeout;
  /** The last times this process is known not to have hung: newest last. */
  #ticks: readonly number[] = [performance.now()];
  #frames: { readonly earliestMs: number; readonly latestMs: number }[] = [];
  handOvers = 0;

  private constructor(balancer: PassThrough, secret: string, budget: number) {
    this.#balancer = balancer;
    this.#secret = secret;
    this.#budget = budget;
    this.#timer = setInterval(() => {
      this.#ticks = [...this.#ticks.slice(-2), performance.now()];
    }, TICK_MS);
  }

  static async start(options: { readonly jwtSecret: string; readonly reconnectsPerSecond: number }): Promise<LiveFleet> {
    const balancer = await startPassThrough({ host: "127.0.0.1", port: 0 });
    return new LiveFleet(balancer, options.jwtSecret, options.reconnectsPerSecond);
  }

  /** A gateway of the fleet came, changed or went. */
  podChanged(pod: Pod, isGone: boolean): void {
    const { name } = pod.metadata;
    const known = this.#pods.get(name);
    if (isGone) this.#pods.delete(name);
    else this.#pods.set(name, pod);
    // I4: its own drain has not begun yet, and the balancer sends it nothing new any more.
    const open = this.#balancer.connections().get(name) ?? 0;
    if (isDeleting(pod) && known !== undefined && !isDeleting(known) && open > 0)
      this.faults.push(`${name} was deleted with ${open} connections`);
    this.#balancer.setTargets(
      [...this.#pods.values()].map(({ metadata, status }) => ({
        name: metadata.name,
        host: status?.podIP ?? "",
        port: 8080,
        accepting: () => {
          const now = this.#pods.get(metadata.name);
          return now !== undefined && isConditionTrue(now, "Ready") && !isDeleting(now) && !isFinished(now);
        },
      })),
    );
  }

  async connect(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      const user = `usr_${this.users.length}`;
      this.users.push(user);
      const token = await signToken(user, this.#secret);
      this.#clients.push(this.#connect(user, token));
    }
  }

  get areLive(): boolean {
    return this.#clients.every(({ state }) => state.kind === "live");
  }

  /** Whether all have got this notification. */
  hasAll(notification: string): boolean {
    return this.users.every((user) => this.received.has(`${user} ${notification}`));
  }

  closeClients(): void {
    for (const client of this.#clients) client.close();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.closeClients();
    await this.#balancer.stop();
  }

  #connect(user: string, token: string): Client {
    return connect({
      url: `ws://${this.#balancer.address}/connect`,
      token,
      device: "phone",
      WebSocket: recording(() => this.#sawReconnect()),
      onNotification: ({ notificationId }) => this.received.add(`${user} ${notificationId}`),
      onReconnected: (_, how) => {
        if (how === "hand_over") this.handOvers += 1;
        else this.faults.push(`${user} lost its connection`);
      },
    });
  }

  /** I3. When a frame was sent is known only so far: not before this process, through which it passes twice, was last seen to run. A window
   *  is too full only if it is, whenever they were sent. */
  #sawReconnect(): void {
    const latestMs = performance.now();
    this.#frames = [...this.#frames.filter((frame) => frame.latestMs > latestMs - 2_000), { earliestMs: this.#ticks[0] ?? 0, latestMs }];
    const inSecond = this.#frames.filter((frame) => frame.earliestMs >= latestMs - 1_000).length;
    if (inSecond > this.#budget) this.faults.push(`${inSecond} reconnect frames within a second, ${this.#budget} are allowed`);
  }
}

function recording(onReconnect: () => void): WebSocketConstructor {
  const Recording = class extends WebSocket {
    constructor(url: string) {
      super(url);
      this.on("message", (data) => {
        if (String(data).startsWith('{"type":"reconnect"')) onReconnect();
      });
    }
  };
  return Recording as unknown as WebSocketConstructor;
}
