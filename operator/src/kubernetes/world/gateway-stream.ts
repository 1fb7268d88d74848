import type { Client } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type Cancel, type Clock, callUnary, gatewayService, v1 } from "@pushfleet/service";
import { type AcceptedGrant, acceptGrant, type GatewayReport, type PodGrant } from "../../core/index.js";
import { toGrant, toReport } from "../../gateway-messages.js";
import type { StatusConnection } from "./status-connection.js";

/** How a gateway is reached: one connection for its statuses, which is always there, and a channel for calls once there are any. */
export interface GatewayLink {
  readonly statuses: Pick<StatusConnection, "watch" | "close">;
  /** Opens the channel; it dials by itself. */
  readonly openCalls: () => Client;
}

export interface GatewayStreamOptions {
  /** Throws as long as there is no certificate to show. */
  readonly connect: () => GatewayLink;
  readonly clock: Clock;
  readonly random: () => number;
  /** Its report changed in a way that a plan may depend on, or is none any more. */
  readonly onChange: () => void;
}

/** One pod's gateway: its status as it streams it, and what it has been told by this process. Any worker answers for the whole gateway. */
export class GatewayStream {
  readonly #options: GatewayStreamOptions;
  #link: GatewayLink | undefined;
  #calls: Client | undefined;
  #cancelRetry: Cancel = () => {};
  #cancelSilence: Cancel = () => {};
  #failures = 0;
  #status: v1.IGatewayStatus | undefined;
  #heardAtMs = 0;
  readonly #openedAtMs: number;
  /** Since its stream began. */
  #isHeard = false;
  #movesPerSecond = 0;
  #isClosed = false;
  accepted: AcceptedGrant | undefined;

  constructor(options: GatewayStreamOptions) {
    this.#options = options;
    this.#openedAtMs = options.clock.monotonicMs();
    this.#watch();
  }

  /** `undefined` when it has said nothing for `limits.statusSilenceMs`. */
  report(): GatewayReport | undefined {
    const status = this.status();
    return status === undefined ? undefined : toReport(status);
  }

  status(): v1.IGatewayStatus | undefined {
    const isSilent = this.#options.clock.monotonicMs() - this.#heardAtMs > limits.statusSilenceMs;
    return isSilent ? undefined : this.#status;
  }

  /** It may run and not have been heard yet. */
  isAwaited(): boolean {
    return this.#options.clock.monotonicMs() - this.#openedAtMs <= limits.statusSilenceMs;
  }

  /** `reconnect` frames and drain closes a second, between its last two statuses. */
  movesPerSecond(): number {
    return this.status() === undefined ? 0 : Math.max(0, this.#movesPerSecond);
  }

  /** `Drain`: cordon, start or renew. What it answers, or why it did not. */
  async drain(grant: PodGrant): Promise<Told> {
    const request = new v1.DrainRequest({ grant: toGrant(grant), reason: grant.reason });
    return await this.#tell(grant, (client) => callUnary(client, gatewayService.drain, request, limits.drainCallMs));
  }

  /** `AbortDrain`: back to serving. */
  async abort(grant: PodGrant): Promise<Told> {
    const request = new v1.AbortDrainRequest({ epoch: grant.epoch });
    return await this.#tell(grant, (client) => callUnary(client, gatewayService.abortDrain, request, limits.drainCallMs));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelRetry();
    this.#cancelSilence();
    this.#link?.statuses.close();
    this.#calls?.close();
  }

  async #tell(grant: PodGrant, call: (client: Client) => Promise<v1.IDrainReply>): Promise<Told> {
    try {
      this.#calls ??= this.#linked().openCalls();
      const reply = await call(this.#calls);
      if (reply.accepted !== true) return { kind: "refused", message: reply.message ?? "" };
      this.accepted = acceptGrant(this.accepted, grant, this.#options.clock.nowMs());
      return { kind: "accepted" };
    } catch (cause) {
      return { kind: "unknown", cause: cause as Error };
    }
  }

  #linked(): GatewayLink {
    this.#link ??= this.#options.connect();
    return this.#link;
  }

  #watch(): void {
    const end = (): void => {
      if (this.#isClosed) return;
      this.#retryLater();
      if (this.#isHeard) this.#tellSilence();
      this.#isHeard = false;
    };
    try {
      this.#linked().statuses.watch((status) => this.#take(status), end);
    } catch {
      this.#retryLater(); // a certificate that is not there yet
    }
  }

  #take(status: v1.IGatewayStatus): void {
    if (this.#isClosed) return;
    this.#failures = 0;
    this.#isHeard = true;
    this.#cancelSilence();
    const before = this.status();
    const nowMs = this.#options.clock.monotonicMs();
    this.#movesPerSecond = before === undefined ? 0 : (1000 * (movesOf(status) - movesOf(before))) / Math.max(1, nowMs - this.#heardAtMs);
    this.#status = status;
    this.#heardAtMs = nowMs;
    if (before === undefined || hasChanged(before, status)) this.#options.onChange();
  }

  /** Nothing comes that would tell it. */
  #tellSilence(): void {
    const { clock, onChange } = this.#options;
    const leftMs = this.#heardAtMs + limits.statusSilenceMs - clock.monotonicMs();
    this.#cancelSilence = clock.after(Math.max(0, leftMs) + 1, onChange);
  }

  /** A gateway that starts refuses for a moment, one that died for good: the channel goes with the pod. */
  #retryLater(): void {
    const delayMs = Math.min(limits.statusRetryMaxMs, limits.statusRetryMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#cancelRetry = this.#options.clock.after(delayMs * (0.5 + this.#options.random() / 2), () => this.#watch());
  }
}

export type Told =
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly message: string }
  /** It may or may not have been told. */
  | { readonly kind: "unknown"; readonly cause: Error };

function movesOf(status: v1.IGatewayStatus): number {
  return (status.reconnectsSent ?? 0) + (status.drainCloses ?? 0);
}

function hasChanged(before: v1.IGatewayStatus, now: v1.IGatewayStatus): boolean {
  if (before.state !== now.state || before.ready !== now.ready || before.epoch !== now.epoch) return true;
  if ((before.connections === 0) !== (now.connections === 0)) return true;
  const change = Math.abs((now.connections ?? 0) - (before.connections ?? 0));
  return change > limits.statusChangeShare * (before.effectiveMaxConnections ?? 0);
}
