import { type Cursor, type Incarnation, limits } from "@pushfleet/protocol";
import type { Lease, Located, Registry } from "@pushfleet/registry";
import type { Clock, Logger, Tls } from "@pushfleet/service";
import type { UserDelivery } from "./user-delivery.js";
import { WorkerStream } from "./worker-stream.js";

export interface DelivererOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tls: Tls | undefined;
  readonly onHop: (seconds: number) => void;
  /** Deliveries counted because their worker will send `gap`. */
  readonly onResync: (count: number) => void;
}

interface Unreached {
  readonly delivery: UserDelivery;
  readonly targets: readonly Located[];
}

/** One stream for each gateway worker that holds a device; for a worker whose lease lives but that has not answered for
 *  `limits.unreachableWorkerMs`, the request that it send its connections `gap`. */
export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #streams = new Map<Incarnation, WorkerStream>();
  readonly #unreached = new Map<Incarnation, Unreached[]>();
  readonly #cancelSweep: () => void;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#cancelSweep = options.clock.every(limits.workerSweepMs, () => void this.#sweep());
  }

  /** Workers that are connected to, or were until their lease was seen to be gone. */
  get workers(): number {
    return this.#streams.size;
  }

  /** Each of `targets` is answered or broken, later. */
  send(delivery: UserDelivery, targets: readonly Located[]): void {
    const [first] = targets;
    if (first === undefined) return;
    const { incarnation } = first.entry;
    if (targets.length === 1 || targets.every(({ entry }) => entry.incarnation === incarnation)) {
      this.#sendToWorker(first.lease, delivery, targets);
      return;
    }
    for (const group of groupByWorker(targets)) {
      const [one] = group;
      if (one !== undefined) this.#sendToWorker(one.lease, delivery, group);
    }
  }

  stop(): void {
    this.#cancelSweep();
    for (const stream of this.#streams.values()) stream.stop();
    this.#streams.clear();
  }

  #sendToWorker(lease: Lease, delivery: UserDelivery, targets: readonly Located[]): void {
    const stream = this.#stream(lease);
    const { silentSinceMs } = stream;
    const unreachable = silentSinceMs !== undefined && this.#options.clock.monotonicMs() - silentSinceMs >= limits.unreachableWorkerMs;
    if (unreachable) this.#addUnreached(lease.incarnation, { delivery, targets });
    else stream.send(delivery, targets);
  }

  #stream(lease: Lease): WorkerStream {
    const known = this.#streams.get(lease.incarnation);
    if (known !== undefined) return known;
    const stream = new WorkerStream({ ...this.#options, lease });
    this.#streams.set(lease.incarnation, stream);
    return stream;
  }

  /** Those of one tick share a request. */
  #addUnreached(incarnation: Incarnation, unreached: Unreached): void {
    const waiting = this.#unreached.get(incarnation);
    if (waiting !== undefined) {
      waiting.push(unreached);
      return;
    }
    this.#unreached.set(incarnation, [unreached]);
    setImmediate(() => {
      const all = this.#unreached.get(incarnation) ?? [];
      this.#unreached.delete(incarnation);
      void this.#requestResync(incarnation, all);
    });
  }

  /** At its next refresh the worker reads the earliest cursor that it missed, and sends `gap`: that is the outcome, once the registry has it. */
  async #requestResync(incarnation: Incarnation, unreached: readonly Unreached[]): Promise<void> {
    switch (await this.#ask(incarnation, earliestCursor(unreached))) {
      case "requested":
        this.#options.onResync(unreached.length);
        for (const { delivery, targets } of unreached) for (const target of targets) delivery.answered(target, "overflow");
        return;
      case "no_lease":
        this.#drop(incarnation);
        for (const { delivery, targets } of unreached) for (const target of targets) delivery.answered(target, "stale");
        return;
      case "unavailable":
        for (const { delivery, targets } of unreached) for (const target of targets) delivery.broken(target);
        return;
    }
  }

  async #ask(incarnation: Incarnation, after: Cursor | undefined): Promise<"requested" | "no_lease" | "unavailable"> {
    if (after === undefined) return "unavailable";
    try {
      return await this.#options.registry.requestResync(incarnation, after);
    } catch (cause) {
      this.#options.logger.error({ err: cause }, "the registry threw at a resync request, it is asked again");
      return "unavailable";
    }
  }

  #drop(incarnation: Incarnation): void {
    const stream = this.#streams.get(incarnation);
    this.#streams.delete(incarnation);
    stream?.stop();
  }

  /** Channels of workers whose lease is gone are closed. */
  async #sweep(): Promise<void> {
    for (const [incarnation, stream] of [...this.#streams]) {
      if (stream.pending > 0 && stream.silentSinceMs === undefined) continue;
      const read = await this.#options.registry.readLease(incarnation);
      if (read.kind === "lease" && read.lease === undefined) this.#drop(incarnation);
    }
  }
}

function groupByWorker(targets: readonly Located[]): readonly (readonly Located[])[] {
  const groups = new Map<Incarnation, Located[]>();
  for (const target of targets) {
    const group = groups.get(target.entry.incarnation);
    if (group === undefined) groups.set(target.entry.incarnation, [target]);
    else group.push(target);
  }
  return [...groups.values()];
}

function earliestCursor(unreached: readonly Unreached[]): Cursor | undefined {
  let earliest: Cursor | undefined;
  for (const { delivery } of unreached) {
    const { cursor } = delivery;
    if (cursor !== "" && (earliest === undefined || cursor < earliest)) earliest = cursor;
  }
  return earliest;
}
