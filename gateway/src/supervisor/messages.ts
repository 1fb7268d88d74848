import type { Readiness, v1 } from "@pushfleet/service";
import type { GatewayConfig } from "../configuration.js";
import type { Gateway } from "../create-gateway.js";

/** What a supervisor tells a worker process. `id` pairs a question with its answer. */
export type ToWorker =
  | { readonly kind: "start"; readonly worker: number; readonly workers: number; readonly config: GatewayConfig }
  | { readonly kind: "drain"; readonly id: number; readonly grant: v1.IGrant; readonly reason: string }
  | { readonly kind: "abort"; readonly id: number; readonly epoch: number }
  | { readonly kind: "metrics"; readonly id: number }
  /** Status of the whole gateway, for those who watch it at this worker. */
  | { readonly kind: "whole"; readonly status: v1.IGatewayStatus }
  /** Answer to an `ask`. */
  | { readonly kind: "reply"; readonly id: number; readonly reply: v1.IDrainReply }
  /** The process ends after it. */
  | { readonly kind: "stop"; readonly how: "drain" | "close" };

export type FromWorker =
  | { readonly kind: "ready"; readonly addresses: Gateway["addresses"]; readonly report: WorkerReport }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "report"; readonly report: WorkerReport }
  | { readonly kind: "answer"; readonly id: number; readonly answer: v1.IDrainReply | MetricsJson }
  /** An operator asked this worker for something that concerns the whole gateway. */
  | { readonly kind: "ask"; readonly id: number; readonly what: WholeRequest };

export type WholeRequest =
  | { readonly kind: "drain"; readonly grant: v1.IGrant; readonly reason: string }
  | { readonly kind: "abort"; readonly epoch: number };

/** What a worker says of itself, every `limits.statusCheckMs`. */
export interface WorkerReport {
  readonly status: v1.IGatewayStatus;
  readonly readiness: Readiness;
  readonly rssBytes: number;
}

/** As prom-client's `getMetricsAsJSON` gives it. */
export type MetricsJson = readonly object[];

/** One end of the way between a supervisor and a worker. Messages come in order; after the other end is gone `send` does nothing. */
export interface Channel<In, Out> {
  send(message: Out): void;
  onMessage(listener: (message: In) => void): void;
  /** The other end is gone: the process has exited, or was killed. */
  onGone(listener: () => void): void;
}
