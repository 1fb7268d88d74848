import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock, v1 } from "@pushfleet/service";
import { splitRate } from "../core/split-rate.js";

/** What the drain of a whole gateway needs of a worker. */
export interface DrainedWorker {
  /** Open ones, asked to move or not: each costs a move at most, a straggler another. */
  readonly connections: number;
  drain(grant: v1.IGrant, reason: string): Promise<v1.IDrainReply | undefined>;
  abortDrain(epoch: number): Promise<v1.IDrainReply | undefined>;
}

const notRunning = (epoch: number): v1.IDrainReply => ({ accepted: false, epoch, message: "no worker runs" });

/** With nothing to move, a worker is told of the drain all the same: it is then drained, not cordoned. */
const emptyPerSecond = 0.001;

/** Splits an operator's grant over the workers by their connections, anew at each renewal. A share is first lowered where it falls and raised
 *  elsewhere a window later, so that no second sees more moves than were granted (invariant I3). */
export class WholeDrain {
  readonly #clock: Clock;
  readonly #workers: () => readonly DrainedWorker[];
  #shares = new Map<DrainedWorker, number>();
  #grant: v1.IGrant | undefined;
  #reason = "";
  #cancelRaise: Cancel = () => {};

  constructor(clock: Clock, workers: () => readonly DrainedWorker[]) {
    this.#clock = clock;
    this.#workers = workers;
  }

  /** Answers `Gateway.Drain`: the first refusal, if a worker refuses. */
  async grant(grant: v1.IGrant, reason: string): Promise<v1.IDrainReply> {
    const replies = await this.#split(grant, reason);
    const refusal = replies.find((reply) => reply.accepted !== true);
    if (refusal !== undefined || replies.length === 0) return refusal ?? notRunning(grant.epoch ?? 0);
    this.#grant = grant;
    this.#reason = reason;
    return replies[0] ?? notRunning(grant.epoch ?? 0);
  }

  /** Answers `Gateway.AbortDrain`. */
  async abort(epoch: number): Promise<v1.IDrainReply> {
    const replies = await this.#ofAll((worker) => worker.abortDrain(epoch));
    const refusal = replies.find((reply) => reply.accepted !== true);
    if (refusal === undefined) this.stop();
    return refusal ?? replies[0] ?? notRunning(epoch);
  }

  /** A worker was started anew: it learns of the drain under way. */
  async join(worker: DrainedWorker): Promise<void> {
    if (this.#grant !== undefined) await worker.drain({ ...this.#grant, reconnectsPerSecond: 0 }, this.#reason);
  }

  stop(): void {
    this.#cancelRaise();
    this.#grant = undefined;
    this.#shares.clear();
  }

  async #split(grant: v1.IGrant, reason: string): Promise<readonly v1.IDrainReply[]> {
    this.#cancelRaise();
    const workers = this.#workers();
    const perSecond = grant.reconnectsPerSecond ?? 0;
    const rates = splitRate(
      perSecond,
      workers.map(({ connections }) => connections),
    );
    const share = (worker: DrainedWorker, index: number): number =>
      worker.connections === 0 ? Math.min(perSecond, emptyPerSecond) : (rates[index] ?? 0);
    const wanted = new Map(workers.map((worker, index) => [worker, share(worker, index)]));
    const lowered = new Map(workers.map((worker) => [worker, Math.min(wanted.get(worker) ?? 0, this.#shares.get(worker) ?? 0)]));
    const isFirst = this.#shares.size === 0;
    const now = isFirst ? wanted : lowered;
    this.#shares = now;
    const replies = await this.#tell(now, grant, reason);
    const isRaised = workers.some((worker) => (wanted.get(worker) ?? 0) > (now.get(worker) ?? 0));
    if (isRaised) {
      this.#cancelRaise = this.#clock.after(limits.drainWindowMs, () => {
        this.#shares = wanted;
        void this.#tell(wanted, grant, reason);
      });
    }
    return replies;
  }

  #tell(shares: ReadonlyMap<DrainedWorker, number>, grant: v1.IGrant, reason: string): Promise<readonly v1.IDrainReply[]> {
    return this.#ofAll((worker) => worker.drain({ ...grant, reconnectsPerSecond: shares.get(worker) ?? 0 }, reason));
  }

  async #ofAll(ask: (worker: DrainedWorker) => Promise<v1.IDrainReply | undefined>): Promise<readonly v1.IDrainReply[]> {
    const replies = await Promise.all(this.#workers().map(ask));
    return replies.filter((reply) => reply !== undefined);
  }
}
