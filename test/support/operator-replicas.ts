import type { RunningProcess } from "../peers/process.js";
import { waitFor } from "../peers/wait-for.js";
import type { OperatorCluster } from "./operator-cluster.js";

/** Longer than any test: a replica may stand by for all of it. */
const STAND_BY_MS = 600_000;

/** Replicas of the operator as a Deployment keeps them: one that ends is started again, whatever ended it. */
export class OperatorReplicas {
  readonly #cluster: OperatorCluster;
  readonly #name: string;
  readonly #changes: { readonly lease: object };
  readonly #leasePath: string;
  readonly #running = new Set<RunningProcess>();
  /** Those that have said that they lead, and live. */
  readonly #leading = new Set<RunningProcess>();
  readonly #starting = new Set<Promise<void>>();
  /** How those ended that nobody here has killed. */
  readonly ends: string[] = [];
  #started = 0;
  #isStopping = false;

  /** `changes`: of their configuration. Their Lease is called as they are. */
  constructor(cluster: OperatorCluster, name: string, changes: { readonly watchNamespaces: readonly string[]; readonly lease: object }) {
    this.#cluster = cluster;
    this.#name = name;
    this.#changes = { ...changes, lease: { ...changes.lease, name } };
    this.#leasePath = `/apis/coordination.k8s.io/v1/namespaces/pushfleet-system/leases/${name}`;
  }

  async start(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#start()));
  }

  /** One that leads, as soon as there is one. */
  leader(): Promise<RunningProcess> {
    return waitFor(() => [...this.#leading].at(0), { what: `a leader among ${this.#name}`, deadlineMs: 60_000 });
  }

  get leaders(): readonly RunningProcess[] {
    return [...this.#leading];
  }

  /** Output of those that run, for a failed test. */
  lines(count: number): readonly string[] {
    return [...this.#running].flatMap((one) => [`--- ${one.name}`, ...one.lines().slice(-count)]);
  }

  /** SIGKILL. Its Lease is left to expire, or taken from it: it is dead for sure, and the next leads sooner. */
  async kill(one: RunningProcess, lease: "expires" | "is taken"): Promise<void> {
    this.#leading.delete(one);
    this.#running.delete(one);
    await one.kill();
    if (lease === "is taken") await this.editLease({ holderIdentity: "" });
    this.#again();
  }

  /** As somebody with kubectl. */
  async editLease(spec: object): Promise<void> {
    const content = JSON.stringify({ spec });
    const { status, body } = await this.#cluster.kubernetes.request("PATCH", this.#leasePath, {
      type: "application/merge-patch+json",
      content,
    });
    if (status !== 200) throw new Error(`the Lease could not be edited: ${JSON.stringify(body)}`);
  }

  async deleteLease(): Promise<void> {
    await this.#cluster.kubernetes.request("DELETE", this.#leasePath);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#running].map((one) => one.kill()));
  }

  #again(): void {
    if (this.#isStopping) return;
    const starting = this.#start().finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
  }

  async #start(): Promise<void> {
    this.#started += 1;
    const one = await this.#cluster.startOperator({ id: `${this.#name}-${this.#started}`, changes: this.#changes });
    this.#running.add(one);
    void one
      .waitForLine((line) => line.includes('"msg":"leading"'), { what: "it leads", deadlineMs: STAND_BY_MS })
      .then(
        () => void this.#leading.add(one),
        () => undefined, // it ended before
      );
    void one.exited.then(({ code, signal }) => {
      this.#leading.delete(one);
      if (!this.#running.delete(one) || this.#isStopping) return;
      this.ends.push(`${one.name}: ${signal ?? `exit code ${code}`}\n${one.lines().slice(-5).join("\n")}`);
      this.#again();
    });
  }
}
