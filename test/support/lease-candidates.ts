import { createLogger, ManualClock } from "@pushfleet/service";
import { type EpochRaised, LeaderElection } from "../../operator/src/kubernetes/api/leader-election.js";
import type { ApiResult, CallOptions, KubernetesApi, KubernetesObject } from "../../operator/src/kubernetes/api/types.js";

type Lease = KubernetesObject & {
  readonly spec: { readonly holderIdentity: string; readonly leaseTransitions: number; readonly renewTime: string };
};
/** How a candidate reaches the API server. */
export type Link = "well" | "requests lost" | "answers lost" | "slow";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** One Lease, written by compare-and-set. */
class LeaseServer {
  lease: Lease | undefined;
  /** Every holder and its transitions, as written. */
  readonly terms: string[] = [];
  #version = 100;

  get(): ApiResult<Lease> {
    return this.lease === undefined ? { kind: "notFound" } : { kind: "ok", object: this.lease };
  }

  create(lease: Lease): ApiResult<Lease> {
    return this.lease === undefined ? this.#put(lease, `u${this.#version}`) : { kind: "exists" };
  }

  replace(lease: Lease): ApiResult<Lease> {
    if (this.lease === undefined) return { kind: "notFound" };
    const { uid, resourceVersion } = this.lease.metadata;
    if (lease.metadata.resourceVersion !== resourceVersion || lease.metadata.uid !== uid) return { kind: "conflict", message: "modified" };
    return this.#put(lease, uid);
  }

  #put(lease: Lease, uid = ""): ApiResult<Lease> {
    this.#version += 1;
    this.lease = { ...lease, metadata: { ...lease.metadata, uid, resourceVersion: String(this.#version) } };
    const term = `${lease.spec.holderIdentity.split("_")[0]} ${lease.spec.leaseTransitions}`;
    if (this.terms.at(-1) !== term) this.terms.push(term);
    return { kind: "ok", object: this.lease };
  }
}

/** A world of candidates, each with its own link to the API server and its own wall clock. */
export class CandidateWorld {
  readonly server = new LeaseServer();
  readonly clock = new ManualClock();
  readonly candidates: Candidate[] = [];
  readonly epochs: number[] = [];

  add(name: string): Candidate {
    const candidate = new Candidate(this, name);
    this.candidates.push(candidate);
    candidate.election.start();
    return candidate;
  }

  leaders(): readonly string[] {
    return this.candidates.filter(({ killed, election }) => !killed && election.isLeading()).map(({ name }) => name);
  }

  /** Lets time pass; there is never more than one leader, at no moment of it. */
  async pass(ms: number, stepMs = 200): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(stepMs);
      await settle();
      if (this.leaders().length > 1) throw new Error(`two leaders: ${this.leaders().join(", ")}`);
    }
  }
}

export class Candidate {
  readonly election: LeaderElection;
  readonly name: string;
  readonly told: string[] = [];
  link: Link = "well";
  /** Its process is gone: it neither sends nor hears. */
  killed = false;
  leading: AbortSignal | undefined;
  workEnds: Promise<void> = Promise.resolve();
  readonly #world: CandidateWorld;
  #seed: number;

  constructor(world: CandidateWorld, name: string) {
    this.#seed = name.length * 7_919 + world.candidates.length;
    this.#world = world;
    this.name = name;
    const { server, clock } = world;
    const api = {
      get: (_: unknown, __: unknown, call: CallOptions) => this.#send(() => server.get(), call),
      create: (_: unknown, lease: Lease, call: CallOptions) => this.#send(() => server.create(lease), call),
      replace: (_: unknown, lease: Lease, call: CallOptions) => this.#send(() => server.replace(lease), call),
    } as unknown as Pick<KubernetesApi, "get" | "create" | "replace">;
    const skewMs = name.length * 3_600_000;
    this.election = new LeaderElection({
      api,
      namespace: "a",
      name: "operator",
      identity: name,
      clock: {
        nowMs: () => clock.nowMs() + skewMs,
        monotonicMs: () => clock.monotonicMs(),
        after: (ms, task) => clock.after(ms, task),
        every: (ms, task) => clock.every(ms, task),
      },
      random: () => this.#random(),
      logger: createLogger("test", "silent"),
      onStarted: (epoch, leading) => {
        if (this.killed) return;
        this.told.push(`started ${epoch}`);
        world.epochs.push(epoch);
        this.leading = leading;
      },
      onStopped: (reason) => {
        if (this.killed) return;
        this.told.push(`stopped: ${reason}`);
        return this.workEnds;
      },
    });
  }

  async stop(): Promise<void> {
    const stopped = this.election.stop();
    let over = false;
    void stopped.then(() => {
      over = true;
    });
    while (!over) await this.#world.pass(200);
  }

  async raise(epoch: number): Promise<EpochRaised> {
    const raised = this.election.raiseEpochAbove(epoch);
    let result: EpochRaised | undefined;
    void raised.then((value) => {
      result = value;
    });
    while (result === undefined) await this.#world.pass(200);
    return result;
  }

  /** Candidates' rounds must not stay in step. */
  #random(): number {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return this.#seed / 2_147_483_648;
  }

  #send(serve: () => ApiResult<Lease>, { timeoutMs = 5_000, signal }: CallOptions): Promise<ApiResult<Lease>> {
    const { clock } = this.#world;
    return new Promise((resolve) => {
      const give = (result: ApiResult<Lease>) => {
        signal?.removeEventListener("abort", abort);
        resolve(result);
      };
      const abort = () => give({ kind: "unavailable", message: "aborted" });
      const timeout = () => clock.after(timeoutMs, () => give({ kind: "unavailable", message: "timeout" }));
      if (signal?.aborted === true) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      if (this.killed || this.link === "requests lost") return void timeout();
      if (this.link === "slow") {
        timeout();
        clock.after(timeoutMs / 2, () => {
          const result = serve();
          clock.after(timeoutMs / 4, () => give(result));
        });
        return;
      }
      const result = serve();
      if (this.link === "answers lost") timeout();
      else give(result);
    });
  }
}
