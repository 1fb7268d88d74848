import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import type { Lease, Located } from "@pushfleet/registry";
import { type Cancel, type Clock, createGrpcClient, gatewayService, type Tls, v1 } from "@pushfleet/service";
import { encodeDeliverBatch, measureParcel, type Parcel } from "./deliver-batch-bytes.js";
import type { UserDelivery } from "./user-delivery.js";

type Sending = Parcel<UserDelivery, Located>;

interface Batch {
  readonly parcels: readonly Sending[];
  readonly sentAtMs: number;
}

export interface WorkerStreamOptions {
  /** Where the worker is, and of which gateway: with TLS nothing is sent to any other process there. */
  readonly lease: Pick<Lease, "gateway" | "address">;
  readonly tls: Tls | undefined;
  readonly clock: Clock;
  /** From a batch to its outcomes. */
  readonly onHop: (seconds: number) => void;
  /** For tests; `limits.grpcStreamAgeMs`. */
  readonly streamAgeMs?: number | undefined;
}

/** One bidirectional stream to one gateway worker: batched, windowed, opened again when it broke. A broken stream, or no outcome for 5 s, is
 *  not an outcome: all that is unanswered is broken. From then on an empty batch, which a worker answers like any other, asks whether it
 *  lives: a process that hangs still accepts connections. An old stream is given up for a new one before the gateway cuts its connection: when
 *  all that it carried is answered, so that nothing breaks and nothing is overtaken. */
export class WorkerStream {
  readonly #options: WorkerStreamOptions;
  readonly #client: Client;
  readonly #inFlight = new Map<number, Batch>();
  readonly #cancelCheck: Cancel;
  #waiting: Sending[] = [];
  #call: ClientDuplexStream<Buffer, v1.IOutcomeBatch> | undefined;
  #openedAtMs = 0;
  #lastBatch = 0;
  #flushing = false;
  #silentSinceMs: number | undefined;
  #probedAtMs = 0;
  #stopped = false;

  constructor(options: WorkerStreamOptions) {
    this.#options = options;
    this.#client = createGrpcClient(options.lease.address, options.tls, { expect: { role: "gateway", id: options.lease.gateway } });
    this.#cancelCheck = options.clock.every(limits.workerCheckMs, () => this.#check());
  }

  /** Since its stream broke (monotonic ms); undefined while it answers. */
  get silentSinceMs(): number | undefined {
    return this.#silentSinceMs;
  }

  get pending(): number {
    return this.#waiting.length + this.#inFlight.size;
  }

  /** Each target is answered or broken, later. */
  send(delivery: UserDelivery, targets: readonly Located[]): void {
    if (this.#stopped) {
      setImmediate(() => breakParcel({ delivery, targets }));
      return;
    }
    this.#waiting.push(measureParcel(delivery, targets));
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelCheck();
    this.#break();
    this.#client.close();
  }

  #flush(): void {
    if (this.#isOld()) {
      if (this.#inFlight.size > 0) return; // their outcomes come within a moment, and flush again
      this.#giveUp();
    }
    let from = 0;
    while (from < this.#waiting.length && this.#inFlight.size < limits.deliverBatchesInFlight) {
      const end = endOfBatch(this.#waiting, from);
      this.#write(this.#waiting.slice(from, end));
      from = end;
    }
    if (from > 0) this.#waiting = this.#waiting.slice(from);
  }

  #write(parcels: readonly Sending[]): void {
    this.#lastBatch = (this.#lastBatch + 1) >>> 0;
    this.#inFlight.set(this.#lastBatch, { parcels, sentAtMs: this.#options.clock.monotonicMs() });
    this.#open().write(encodeDeliverBatch(this.#lastBatch, parcels));
  }

  #open(): ClientDuplexStream<Buffer, v1.IOutcomeBatch> {
    if (this.#call !== undefined) return this.#call;
    const { path, responseDeserialize } = gatewayService.deliver;
    const call = this.#client.makeBidiStreamRequest(path, (bytes: Buffer) => bytes, responseDeserialize);
    this.#call = call;
    this.#openedAtMs = this.#options.clock.monotonicMs();
    call.on("data", (batch: v1.IOutcomeBatch) => {
      if (this.#call === call) this.#answered(batch);
    });
    const ended = (): void => {
      if (this.#call === call) this.#break();
    };
    call.on("error", ended);
    call.on("end", ended);
    return call;
  }

  #answered(answer: v1.IOutcomeBatch): void {
    const batchId = answer.batchId ?? 0;
    const outcomes = answer.outcomes ?? [];
    const batch = this.#inFlight.get(batchId);
    if (batch === undefined) return;
    this.#inFlight.delete(batchId);
    this.#silentSinceMs = undefined;
    if (batch.parcels.length > 0) this.#options.onHop((this.#options.clock.monotonicMs() - batch.sentAtMs) / 1000);
    let at = 0;
    for (const { delivery, targets } of batch.parcels) {
      for (const target of targets) {
        const outcome = outcomes[at++];
        if (outcome === undefined) delivery.broken(target);
        else delivery.answered(target, outcomeNames[outcome] ?? "stale");
      }
    }
    this.#flush();
  }

  #isOld(): boolean {
    const { clock, streamAgeMs = limits.grpcStreamAgeMs } = this.#options;
    return this.#call !== undefined && clock.monotonicMs() - this.#openedAtMs >= streamAgeMs;
  }

  /** Nothing is under way on it: the next batch opens another one. */
  #giveUp(): void {
    this.#call?.end();
    this.#call = undefined;
  }

  #check(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const [oldest] = this.#inFlight.values();
    if (oldest !== undefined && nowMs - oldest.sentAtMs >= limits.outcomeTimeoutMs) this.#break();
    if (this.#inFlight.size === 0 && this.#isOld()) this.#giveUp();
    if (this.#silentSinceMs === undefined || this.#inFlight.size > 0 || nowMs - this.#probedAtMs < limits.workerProbeMs) return;
    this.#probedAtMs = nowMs;
    this.#write([]);
  }

  #break(): void {
    this.#silentSinceMs ??= this.#options.clock.monotonicMs();
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
    const unanswered = [...[...this.#inFlight.values()].flatMap((batch) => batch.parcels), ...this.#waiting];
    this.#inFlight.clear();
    this.#waiting = [];
    for (const parcel of unanswered) breakParcel(parcel);
  }
}

/** By what a router counts; an outcome that a newer gateway may know is looked up once more. */
const outcomeNames: { readonly [Outcome in v1.Outcome]?: "written" | "overflow" | "stale" } = {
  [v1.Outcome.OUTCOME_WRITTEN]: "written",
  [v1.Outcome.OUTCOME_OVERFLOW]: "overflow",
};

function endOfBatch(waiting: readonly Sending[], from: number): number {
  let bytes = 0;
  let end = from;
  for (; end < waiting.length && end - from < limits.coalesceMessages; end++) {
    bytes += waiting[end]?.bytes ?? 0;
    if (end > from && bytes > limits.deliverBatchBytesMax) break;
  }
  return end;
}

function breakParcel({ delivery, targets }: Pick<Sending, "delivery" | "targets">): void {
  for (const target of targets) delivery.broken(target);
}
