import type { Cursor, DeviceId, Incarnation, UserId } from "@pushfleet/protocol";
import { limits } from "@pushfleet/protocol";
import type { Lease, Located, LookedUp, Registry } from "@pushfleet/registry";
import { type Clock, type TlsFiles, v1 } from "@pushfleet/service";
import { Coalescer } from "./coalescer.js";
import { WorkerStream } from "./worker-stream.js";

/** A frame for the devices of one user, built once. */
export interface UserFrame {
  readonly user: UserId;
  readonly frame: Uint8Array;
  readonly kind: v1.FrameKind;
  readonly cursor: Cursor;
  readonly notificationId: string;
  readonly createdAtMs: number;
  /** 0: never. */
  readonly expiresAtMs: number;
  readonly lane: v1.Lane;
  readonly collapseKey: string;
  /** The device that a read mark came from. */
  readonly exceptDevice: DeviceId | undefined;
}

export interface Outcomes {
  readonly written: number;
  readonly stale: number;
  readonly overflow: number;
  /** 1 when no device was connected. */
  readonly offline: number;
  /** Devices on a worker that does not answer: its connections are sent `gap` when it does. */
  readonly resync: number;
}

/** `retry`: not an outcome; the same frame is to be delivered again after a new look-up. */
export type Delivered =
  | { readonly kind: "done"; readonly outcomes: Outcomes }
  | { readonly kind: "retry"; readonly why: "look_up" | "worker" };

interface Waiting {
  readonly frame: UserFrame;
  readonly resolve: (delivered: Delivered) => void;
}

interface Counts {
  written: number;
  stale: number;
  overflow: number;
  resync: number;
}

export interface DelivererOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly tls: TlsFiles | undefined;
  readonly onHop: (seconds: number) => void;
}

const sweepMs = 10_000;

/** Look-up, then one gRPC stream a worker, then outcomes (DESIGN §5, steps 3 and 4). Look-ups of all partitions share a pipeline. */
export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #streams = new Map<Incarnation, WorkerStream>();
  readonly #lookUps: Coalescer<Waiting>;
  readonly #cancelSweep: () => void;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#lookUps = new Coalescer({
      clock: options.clock,
      delayMs: limits.coalesceMs,
      itemsMax: limits.coalesceMessages,
      flush: (waiting) => void this.#deliverAll(waiting),
    });
    this.#cancelSweep = options.clock.every(sweepMs, () => void this.#sweep());
  }

  deliver(frame: UserFrame): Promise<Delivered> {
    return new Promise((resolve) => this.#lookUps.add({ frame, resolve }));
  }

  stop(): void {
    this.#cancelSweep();
    for (const stream of this.#streams.values()) stream.stop();
    this.#streams.clear();
  }

  async #deliverAll(waiting: readonly Waiting[]): Promise<void> {
    const users = [...new Set(waiting.map(({ frame }) => frame.user))];
    const found = await this.#options.registry.lookUp(users);
    const byUser = new Map(users.map((user, index) => [user, found[index]]));
    for (const { frame, resolve } of waiting) void this.#deliverTo(frame, byUser.get(frame.user)).then(resolve);
  }

  async #deliverTo(frame: UserFrame, looked: LookedUp | undefined): Promise<Delivered> {
    if (looked?.kind !== "located") return { kind: "retry", why: "look_up" };
    const devices = looked.devices.filter((one) => one.device !== frame.exceptDevice);
    const counts: Counts = { written: 0, stale: 0, overflow: 0, resync: 0 };
    const stale = await this.#sendTo(frame, devices, counts);
    if (stale === "retry") return { kind: "retry", why: "worker" };
    if (stale.length > 0) {
      const again = await this.#deliverStale(frame, stale, counts);
      if (again !== "done") return { kind: "retry", why: again };
    }
    return { kind: "done", outcomes: { ...counts, offline: devices.length === 0 ? 1 : 0 } };
  }

  /** The entry was right a moment ago: one more look-up finds where the device has gone, or that it has. */
  async #deliverStale(frame: UserFrame, stale: readonly Located[], counts: Counts): Promise<"done" | "look_up" | "worker"> {
    const [looked] = await this.#options.registry.lookUp([frame.user]);
    if (looked?.kind !== "located") return "look_up";
    const moved = looked.devices.filter((one) => {
      const before = stale.find((other) => other.device === one.device);
      return (
        before !== undefined && (before.entry.connection !== one.entry.connection || before.entry.incarnation !== one.entry.incarnation)
      );
    });
    counts.stale += stale.length - moved.length;
    const left = await this.#sendTo(frame, moved, counts);
    if (left === "retry") return "worker";
    counts.stale += left.length;
    return "done";
  }

  /** Sends to each worker that holds one of `devices`; returns the stale ones. */
  async #sendTo(frame: UserFrame, devices: readonly Located[], counts: Counts): Promise<readonly Located[] | "retry"> {
    const groups = groupByIncarnation(devices);
    const answers = await Promise.all([...groups.values()].map((group) => this.#sendToWorker(frame, group, counts)));
    return answers.includes("retry") ? "retry" : answers.flatMap((answer) => (answer === "retry" ? [] : answer));
  }

  async #sendToWorker(frame: UserFrame, group: readonly Located[], counts: Counts): Promise<readonly Located[] | "retry"> {
    const [first] = group;
    if (first === undefined) return [];
    const stream = this.#stream(first.lease);
    if (this.#isUnreachable(stream)) return await this.#requestResync(frame, group, counts);
    const targets = group.map((one) => ({ user: frame.user, device: one.device, connection: one.entry.connection }));
    const { user: _, exceptDevice: __, ...fields } = frame;
    const answer = await new Promise<Parameters<Parameters<WorkerStream["send"]>[1]>[0]>((resolve) =>
      stream.send({ ...fields, targets }, resolve),
    );
    if (answer.kind === "broken") return this.#isUnreachable(stream) ? await this.#requestResync(frame, group, counts) : "retry";
    return group.filter((_one, index) => this.#count(answer.outcomes[index], counts) === "stale");
  }

  #count(outcome: v1.Outcome | undefined, counts: Counts): "counted" | "stale" {
    if (outcome === v1.Outcome.OUTCOME_WRITTEN) counts.written++;
    else if (outcome === v1.Outcome.OUTCOME_OVERFLOW) counts.overflow++;
    else return "stale";
    return "counted";
  }

  #isUnreachable(stream: WorkerStream): boolean {
    const sinceMs = stream.unreachableSinceMs;
    return sinceMs !== undefined && this.#options.clock.monotonicMs() - sinceMs >= limits.unreachableWorkerMs;
  }

  /** Its lease lives but it has not answered for 10 s: at its next refresh it reads the earliest cursor it missed, and sends `gap`. */
  async #requestResync(frame: UserFrame, group: readonly Located[], counts: Counts): Promise<readonly Located[] | "retry"> {
    const [first] = group;
    if (first === undefined) return [];
    switch (await this.#options.registry.requestResync(first.entry.incarnation, frame.cursor)) {
      case "requested":
        counts.resync += group.length;
        return [];
      case "no_lease":
        this.#drop(first.entry.incarnation);
        return group;
      case "unavailable":
        return "retry";
    }
  }

  #stream(lease: Lease): WorkerStream {
    const known = this.#streams.get(lease.incarnation);
    if (known !== undefined) return known;
    const { tls, clock, onHop } = this.#options;
    const stream = new WorkerStream({ address: lease.address, tls, clock, onHop });
    this.#streams.set(lease.incarnation, stream);
    return stream;
  }

  #drop(incarnation: Incarnation): void {
    this.#streams.get(incarnation)?.stop();
    this.#streams.delete(incarnation);
  }

  /** Channels of workers whose lease is gone are closed. */
  async #sweep(): Promise<void> {
    for (const [incarnation, stream] of this.#streams) {
      if (stream.pending > 0) continue;
      const read = await this.#options.registry.readLease(incarnation);
      if (read.kind === "lease" && read.lease === undefined) this.#drop(incarnation);
    }
  }
}

function groupByIncarnation(devices: readonly Located[]): Map<Incarnation, Located[]> {
  const groups = new Map<Incarnation, Located[]>();
  for (const one of devices) {
    const group = groups.get(one.entry.incarnation);
    if (group === undefined) groups.set(one.entry.incarnation, [one]);
    else group.push(one);
  }
  return groups;
}
