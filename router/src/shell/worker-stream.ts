import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type Cancel, type Clock, createGrpcClient, gatewayService, type TlsFiles, v1 } from "@pushfleet/service";

/** What became of one delivery at one worker: an outcome for each of its targets, in order, or none at all. */
export type WorkerAnswer = { readonly kind: "outcomes"; readonly outcomes: readonly v1.Outcome[] } | { readonly kind: "broken" };

interface Sending {
  readonly delivery: v1.IDelivery;
  readonly bytes: number;
  readonly answer: (answer: WorkerAnswer) => void;
}

interface Batch {
  readonly sent: readonly Sending[];
  readonly sentAtMs: number;
}

export interface WorkerStreamOptions {
  readonly address: string;
  readonly tls: TlsFiles | undefined;
  readonly clock: Clock;
  /** From a batch to its outcomes. */
  readonly onHop: (seconds: number) => void;
}

const checkMs = 250;

/** One bidirectional stream to one gateway worker: batched, windowed, opened again when it broke. A broken stream, or no outcome for 5 s, is
 *  not an outcome: everything unanswered is `broken`, and the caller tries again. */
export class WorkerStream {
  readonly #options: WorkerStreamOptions;
  readonly #client: Client;
  readonly #inFlight = new Map<number, Batch>();
  readonly #cancelCheck: Cancel;
  #waiting: Sending[] = [];
  #call: ClientDuplexStream<v1.IDeliverBatch, v1.IOutcomeBatch> | undefined;
  #lastBatch = 0;
  #flushing = false;
  #unreachableSinceMs: number | undefined;
  #probing = false;
  #stopped = false;

  constructor(options: WorkerStreamOptions) {
    this.#options = options;
    this.#client = createGrpcClient(options.address, options.tls);
    this.#cancelCheck = options.clock.every(checkMs, () => this.#checkAge());
  }

  /** Monotonic; undefined while it answers. */
  get unreachableSinceMs(): number | undefined {
    return this.#unreachableSinceMs;
  }

  get pending(): number {
    return this.#waiting.length + this.#inFlight.size;
  }

  /** `answer` is called once, later. */
  send(delivery: v1.IDelivery, answer: (answer: WorkerAnswer) => void): void {
    if (this.#stopped) return answer({ kind: "broken" });
    this.#waiting.push({ delivery, bytes: (delivery.frame?.length ?? 0) + 128, answer });
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelCheck();
    this.#break();
    this.#client.close();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#inFlight.size < limits.deliverBatchesInFlight) {
      const sent = this.#takeBatch();
      this.#lastBatch = (this.#lastBatch + 1) >>> 0;
      this.#inFlight.set(this.#lastBatch, { sent, sentAtMs: this.#options.clock.monotonicMs() });
      this.#open().write(new v1.DeliverBatch({ batchId: this.#lastBatch, deliveries: sent.map(({ delivery }) => delivery) }));
    }
  }

  #takeBatch(): readonly Sending[] {
    let bytes = 0;
    let count = 0;
    for (const { bytes: size } of this.#waiting) {
      if (count > 0 && (bytes + size > limits.deliverBatchBytesMax || count >= limits.coalesceMessages)) break;
      bytes += size;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #open(): ClientDuplexStream<v1.IDeliverBatch, v1.IOutcomeBatch> {
    if (this.#call !== undefined) return this.#call;
    const { path, requestSerialize, responseDeserialize } = gatewayService.deliver;
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#call = call;
    call.on("data", (batch: v1.OutcomeBatch) => this.#answered(batch)); // decoded: every field is there
    const ended = (): void => {
      if (this.#call === call) this.#break();
    };
    call.on("error", ended);
    call.on("end", ended);
    return call;
  }

  #answered(batch: v1.OutcomeBatch): void {
    const known = this.#inFlight.get(batch.batchId);
    if (known === undefined) return;
    this.#inFlight.delete(batch.batchId);
    this.#unreachableSinceMs = undefined;
    this.#options.onHop((this.#options.clock.monotonicMs() - known.sentAtMs) / 1000);
    let at = 0;
    for (const { delivery, answer } of known.sent) {
      const count = delivery.targets?.length ?? 0;
      const outcomes = batch.outcomes.slice(at, at + count);
      at += count;
      answer(outcomes.length === count ? { kind: "outcomes", outcomes } : { kind: "broken" });
    }
    this.#flush();
  }

  #checkAge(): void {
    const [oldest] = this.#inFlight.values();
    if (oldest !== undefined && this.#options.clock.monotonicMs() - oldest.sentAtMs > limits.outcomeTimeoutMs) this.#break();
  }

  #break(): void {
    this.#unreachableSinceMs ??= this.#options.clock.monotonicMs();
    const call = this.#call;
    this.#call = undefined;
    call?.cancel();
    const unanswered = [...[...this.#inFlight.values()].flatMap((batch) => batch.sent), ...this.#waiting];
    this.#inFlight.clear();
    this.#waiting = [];
    for (const { answer } of unanswered) answer({ kind: "broken" });
    this.#probe();
  }

  /** Finds out that it answers again, though nothing is sent: what is counted for it at once must be sent again then. */
  #probe(): void {
    if (this.#probing || this.#stopped) return;
    this.#probing = true;
    this.#client.waitForReady(Date.now() + limits.outcomeTimeoutMs, (error) => {
      this.#probing = false;
      if (this.#stopped || this.#unreachableSinceMs === undefined) return;
      if (error === undefined) this.#unreachableSinceMs = undefined;
      else this.#probe();
    });
  }
}
