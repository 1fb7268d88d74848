import type { ProcessExit, RunningProcess } from "../peers/process.js";
import { waitFor } from "../peers/wait-for.js";
import type { OperatorCluster, OperatorOptions } from "./operator-cluster.js";

/** An operator that is started again whenever it ends, as its Deployment does. */
export class KeptOperator {
  readonly #cluster: OperatorCluster;
  readonly #options: OperatorOptions;
  /** How it ended, each time that was not asked for. */
  readonly ends: ProcessExit[] = [];
  #process: RunningProcess;
  #isStopping = false;

  private constructor(cluster: OperatorCluster, options: OperatorOptions, process: RunningProcess) {
    this.#cluster = cluster;
    this.#options = options;
    this.#process = process;
    void this.#keep();
  }

  /** Resolves when it leads. */
  static async start(cluster: OperatorCluster, options: OperatorOptions = {}): Promise<KeptOperator> {
    const kept = new KeptOperator(cluster, options, await cluster.startOperator(options));
    await kept.leads();
    return kept;
  }

  get process(): RunningProcess {
    return this.#process;
  }

  async leads(): Promise<void> {
    await waitFor(() => this.#process.logs().some(({ msg }) => msg === "leads"), { what: "the operator to lead", deadlineMs: 30_000 });
  }

  /** SIGTERM, and not started again. */
  async stop(): Promise<ProcessExit> {
    this.#isStopping = true;
    return await this.#process.stop();
  }

  /** Requests so far that write (but for the Lease's renewals), as the operator counts them itself. */
  async writes(): Promise<number> {
    let sum = 0;
    for (const line of (await this.#metrics()).split("\n")) {
      const match = /^rest_client_requests_total\{.*method="(?:POST|PATCH|DELETE)".*\} (\d+)$/.exec(line);
      sum += Number(match?.[1] ?? 0);
    }
    return sum;
  }

  /** Reconciles so far. */
  async reconciles(): Promise<number> {
    let sum = 0;
    for (const line of (await this.#metrics()).split("\n"))
      sum += Number(/^controller_runtime_reconcile_total\{.*\} (\d+)$/.exec(line)?.[1] ?? 0);
    return sum;
  }

  async #metrics(): Promise<string> {
    const ready = this.#process.logs().find(({ msg }) => msg === "ready") as { readonly admin?: string } | undefined;
    return await (await fetch(`http://${ready?.admin}/metrics`)).text();
  }

  async #keep(): Promise<void> {
    for (;;) {
      const exit = await this.#process.exited;
      if (this.#isStopping) return;
      this.ends.push(exit);
      try {
        this.#process = await this.#cluster.startOperator(this.#options);
      } catch (cause) {
        if (this.#isStopping) return;
        throw cause;
      }
    }
  }
}
