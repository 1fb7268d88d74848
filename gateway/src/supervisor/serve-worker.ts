import { assertNever, limits } from "@pushfleet/protocol";
import type { Clock, v1 } from "@pushfleet/service";
import type { Gateway } from "../create-gateway.js";
import type { WholeGateway } from "../whole-gateway.js";
import type { Channel, FromWorker, ToWorker, WholeRequest, WorkerReport } from "./messages.js";

export interface ServedWorker {
  readonly gateway: Gateway;
  /** What the gateway stood on: channels, the registry. */
  release(): Promise<void>;
}

export interface ServeOptions {
  readonly channel: Channel<ToWorker, FromWorker>;
  readonly clock: Clock;
  readonly start: (message: Extract<ToWorker, { readonly kind: "start" }>, whole: WholeGateway) => Promise<ServedWorker>;
  /** It has stopped, by order or because its supervisor is gone. */
  readonly exit: (code: number) => void;
}

/** The life of a worker process: started, asked and stopped by its supervisor. */
export function serveWorker(options: ServeOptions): void {
  const { channel, clock, start, exit } = options;
  let served: ServedWorker | undefined;
  let isStopping = false;
  const whole = new AskedSupervisor(channel);

  const report = (gateway: Gateway): WorkerReport => ({
    status: gateway.status(),
    readiness: gateway.readiness(),
    rssBytes: process.memoryUsage.rss(),
  });

  const stop = async (how: "drain" | "close"): Promise<void> => {
    if (isStopping && how === "drain") return;
    isStopping = true;
    await served?.gateway.stop({ kind: how });
    await served?.release();
    exit(0);
  };

  const begin = async (message: Extract<ToWorker, { readonly kind: "start" }>): Promise<void> => {
    try {
      served = await start(message, whole);
    } catch (cause) {
      channel.send({ kind: "failed", message: cause instanceof Error ? cause.message : String(cause) });
      setImmediate(() => exit(1)); // once that is on its way
      return;
    }
    const { gateway } = served;
    channel.send({ kind: "ready", addresses: gateway.addresses, report: report(gateway) });
    clock.every(limits.statusCheckMs, () => channel.send({ kind: "report", report: report(gateway) }));
  };

  channel.onGone(() => void stop("close"));
  channel.onMessage((message) => {
    const gateway = served?.gateway;
    switch (message.kind) {
      case "start":
        void begin(message);
        return;
      case "drain":
        if (gateway !== undefined) channel.send({ kind: "answer", id: message.id, answer: gateway.drain(message.grant, message.reason) });
        return;
      case "abort":
        if (gateway !== undefined) channel.send({ kind: "answer", id: message.id, answer: gateway.abortDrain(message.epoch) });
        return;
      case "metrics":
        void gateway?.metrics.getMetricsAsJSON().then((answer) => channel.send({ kind: "answer", id: message.id, answer }));
        return;
      case "whole":
        whole.latest = message.status;
        return;
      case "reply":
        whole.onReply(message.id, message.reply);
        return;
      case "stop":
        void stop(message.how);
        return;
      default:
        assertNever(message);
    }
  });
}

/** The whole gateway, as a worker knows it: by asking the supervisor. */
class AskedSupervisor implements WholeGateway {
  readonly #channel: Channel<ToWorker, FromWorker>;
  readonly #waiting = new Map<number, (reply: v1.IDrainReply) => void>();
  #lastId = 0;
  latest: v1.IGatewayStatus | undefined;

  constructor(channel: Channel<ToWorker, FromWorker>) {
    this.#channel = channel;
  }

  status(): v1.IGatewayStatus | undefined {
    return this.latest;
  }

  drain(grant: v1.IGrant, reason: string): Promise<v1.IDrainReply> {
    return this.#ask({ kind: "drain", grant, reason });
  }

  abortDrain(epoch: number): Promise<v1.IDrainReply> {
    return this.#ask({ kind: "abort", epoch });
  }

  onReply(id: number, reply: v1.IDrainReply): void {
    this.#waiting.get(id)?.(reply);
    this.#waiting.delete(id);
  }

  #ask(what: WholeRequest): Promise<v1.IDrainReply> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#channel.send({ kind: "ask", id, what });
    });
  }
}
