import { expect } from "vitest";
import { waitFor } from "../peers/wait-for.js";
import { fleetManifest, fleetSpec } from "./fleet-manifest.js";
import type { FleetObject, OperatorCluster } from "./operator-cluster.js";
import { differences, readEndState } from "./operator-end-state.js";
import type { PodLedger } from "./operator-pod-ledger.js";
import type { StandInGateways } from "./operator-stand-ins.js";

/** A second of them. */
const ALIKE_READS = 4;
const SETTLE_DEADLINE_MS = 90_000;

/** What a fleet is to be. `revision` is any number: another one rolls the pods. */
export interface FleetWish {
  readonly name: string;
  /** Pods by pool. */
  readonly pools: Readonly<Record<string, number>>;
  readonly revision: number;
}

/** A change that somebody makes to the fleets of a namespace. */
export type Edit = { readonly kind: "apply"; readonly fleet: FleetWish } | { readonly kind: "delete"; readonly name: string };

export interface TrialParts {
  readonly cluster: OperatorCluster;
  readonly ledger: PodLedger;
  readonly standIns: StandInGateways;
  /** Where the same is done undisturbed. */
  readonly calm: string;
  readonly stormy: string;
  readonly redisUrl: string;
  readonly reconnectsPerSecond: number;
}

/** The same edits in two namespaces, one undisturbed: in the end both must hold the same. */
export class Trial {
  readonly #parts: TrialParts;
  readonly #wishes = new Map<string, FleetWish>();
  readonly #made = new Map<string, FleetWish>();

  constructor(parts: TrialParts) {
    this.#parts = parts;
  }

  async edit(edit: Edit): Promise<void> {
    const { cluster, ledger, standIns, calm, stormy, reconnectsPerSecond } = this.#parts;
    const name = edit.kind === "apply" ? edit.fleet.name : edit.name;
    const before = this.#wishes.get(name);
    if (edit.kind === "apply") this.#wishes.set(name, edit.fleet);
    else this.#wishes.delete(name);
    for (const namespace of [calm, stormy]) {
      const fleet = `${namespace}/${name}`;
      ledger.allow(fleet, mostOf(before, edit.kind === "apply" ? edit.fleet : undefined) + 1);
      standIns.setBudget(fleet, reconnectsPerSecond);
    }
    if (edit.kind === "apply") this.#made.set(name, edit.fleet);
    await Promise.all(
      [calm, stormy].map((namespace) =>
        edit.kind === "apply"
          ? cluster.apply(this.#object(edit.fleet, namespace))
          : cluster.kubectl(["-n", namespace, "delete", "pushgateway", name, "--wait=false"]),
      ),
    );
  }

  /** Waits until both namespaces have what was last asked for, and the same of it. */
  async settle(): Promise<void> {
    const { cluster, calm, stormy } = this.#parts;
    for (const namespace of [calm, stormy]) {
      for (const [name, wish] of this.#wishes) {
        const isSettled = (fleet: FleetObject): boolean => hasSettled(fleet, wish);
        await cluster.waitForFleet(namespace, name, `settled as ${JSON.stringify(wish)}`, isSettled, SETTLE_DEADLINE_MS);
      }
    }
    // What is deleted goes one after the other: they may be alike in passing.
    let found: ReturnType<typeof differences> = [];
    let alike = 0;
    const isSame = async (): Promise<boolean> => {
      found = differences(await readEndState(cluster.kubernetes, calm), await readEndState(cluster.kubernetes, stormy));
      alike = found.length === 0 ? alike + 1 : 0;
      return alike >= ALIKE_READS;
    };
    await waitFor(isSame, { what: "the same end state", deadlineMs: 30_000, intervalMs: 250 }).catch(() => undefined);
    expect({ found, alike }).toEqual({ found: [], alike: ALIKE_READS });
    this.check();
    for (const name of this.#made.keys())
      expect(this.#parts.ledger.made(`${stormy}/${name}`)).toEqual(this.#parts.ledger.made(`${calm}/${name}`));
  }

  /** What was seen on the way. */
  check(): void {
    expect(this.#parts.ledger.faults).toEqual([]);
    expect(this.#parts.standIns.faults).toEqual([]);
  }

  #object({ name, pools, revision }: FleetWish, namespace: string): object {
    const { redisUrl, reconnectsPerSecond } = this.#parts;
    const isOnly = Object.keys(pools).length === 1;
    const { gateway } = fleetSpec(redisUrl);
    return fleetManifest({ namespace, name }, redisUrl, {
      gateway: { ...gateway, heartbeat: { intervalSeconds: 30 + revision } },
      pools: Object.entries(pools).map(([pool, count]) => ({
        ...{ name: pool, minReplicas: count, maxReplicas: count, softConnections: 500, hardConnections: 800 },
        ...(isOnly ? {} : { nodeSelector: { pool } }),
      })),
      drain: { reconnectsPerSecond, deadlineSeconds: 120, stragglerGraceSeconds: 5 },
    });
  }
}

function mostOf(...wishes: readonly (FleetWish | undefined)[]): number {
  return Math.max(0, ...wishes.flatMap((wish) => Object.values(wish?.pools ?? {})));
}

function hasSettled({ metadata, status }: FleetObject, { pools }: FleetWish): boolean {
  const count = Object.values(pools).reduce((sum, one) => sum + one, 0);
  const all = Object.values(status?.pods ?? {}).reduce((sum, one) => sum + one, 0);
  const isDone = status?.conditions?.some(({ type, status: is }) => type === "Progressing" && is === "False") === true;
  return status?.observedGeneration === metadata.generation && status.pods?.serving === count && all === count && isDone;
}
