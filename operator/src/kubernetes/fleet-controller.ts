import { limits } from "@pushfleet/protocol";
import type { Registry } from "prom-client";
import { FairSlots } from "./api/fair-slots.js";
import type { KubernetesApi, KubernetesObject, ObjectKey } from "./api/types.js";
import { type Reconciled, WorkQueue } from "./api/work-queue.js";
import type { OperatorFacts } from "./objects/index.js";
import { FleetApi } from "./world/fleet-api.js";
import { FleetCertificates } from "./world/fleet-certificates.js";
import { FleetObjects } from "./world/fleet-objects.js";
import { type FleetParts, FleetReconciler } from "./world/fleet-reconciler.js";
import { OwnedObjects } from "./world/owned-objects.js";
import { RouterScaler } from "./world/router-scaler.js";
import { StatusPace } from "./world/status-pace.js";

export interface FleetControllerParts extends Omit<FleetParts, "api" | "objects" | "pace" | "connect" | "onChange"> {
  readonly api: KubernetesApi;
  readonly metrics: Registry;
  /** Aborts when this process does not lead any more. */
  readonly leading: AbortSignal;
  readonly operator: OperatorFacts;
  readonly isWatched: (namespace: string) => boolean;
  /** What a request may take. */
  readonly requestMs: number;
}

interface OpenFleet {
  /** Of its PushGateway. */
  readonly uid: string | undefined;
  readonly reconciler: FleetReconciler;
  readonly objects: FleetObjects;
}

/** Reconciles all fleets while this process leads: a queue of their names, each fleet by itself, so that one that hangs or fails delays no other. */
export class FleetController {
  readonly #parts: FleetControllerParts;
  readonly #fleets = new Map<string, OpenFleet>();
  readonly #queue: WorkQueue;
  readonly #stopping = new AbortController();
  readonly #slots = new FairSlots(limits.fleetWritesAtOnce);
  readonly #pace = new StatusPace();

  constructor(parts: FleetControllerParts) {
    this.#parts = parts;
    this.#queue = new WorkQueue({
      name: "pushgateway",
      clock: parts.clock,
      logger: parts.logger,
      metrics: parts.metrics,
      concurrency: limits.fleetsAtOnce,
      timeoutMs: limits.fleetReconcileMs,
      signal: AbortSignal.any([parts.leading, this.#stopping.signal]),
      reconcile: (name, signal) => this.#reconcile(name, signal),
    });
  }

  start(): void {
    for (const { metadata } of this.#parts.caches.pushGateways.list())
      this.changed({ namespace: metadata.namespace ?? "", name: metadata.name });
  }

  /** Something of the fleet changed. */
  changed(key: ObjectKey, what?: "pushGateway" | "pod" | "owned" | "node" | "budget"): void {
    if (!this.#parts.isWatched(key.namespace)) return;
    if (what === "owned") this.#fleets.get(nameOf(key))?.objects.changed();
    this.#queue.add(nameOf(key));
  }

  /** Ends what runs between two writes. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#queue.stop();
    for (const { reconciler } of this.#fleets.values()) reconciler.close();
    this.#fleets.clear();
  }

  async #reconcile(name: string, signal: AbortSignal): Promise<Reconciled> {
    const key = keyOf(name);
    const object = this.#parts.caches.pushGateways.get(key);
    const known = this.#fleets.get(name);
    const { uid } = object?.metadata ?? {};
    if (known !== undefined && (object === undefined || known.uid !== uid)) this.#forget(name, known);
    if (object === undefined) return { kind: "done" };
    const fleet = this.#fleets.get(name) ?? this.#open(name, key, uid);
    return await fleet.reconciler.reconcile(signal);
  }

  /** It is gone, though another of its name may be there already. */
  #forget(name: string, { reconciler }: OpenFleet): void {
    reconciler.close();
    this.#fleets.delete(name);
  }

  #open(name: string, key: ObjectKey, uid: string | undefined): OpenFleet {
    const { caches, clock, operator } = this.#parts;
    const generation = () => caches.pushGateways.get(key)?.metadata.generation ?? 0;
    const api = new FleetApi({ ...this.#parts, slots: this.#slots, generation });
    const onRestored = (object: KubernetesObject, what: "changed" | "deleted"): void => this.#tellRestored(key, object, what);
    const owned = new OwnedObjects({ api, kinds: caches.owned, onRestored });
    const certificates = new FleetCertificates({ api, caches, clock });
    const routers = new RouterScaler({ caches, clock, fetchText });
    const objects = new FleetObjects({ api, caches, clock, operator, owned, certificates, routers, onRestored });
    const reconciler = new FleetReconciler(key, {
      ...this.#parts,
      api,
      objects,
      pace: this.#pace,
      connect: (gateway) => certificates.connect(gateway),
      // Soon is soon enough for a change of load.
      onChange: () => this.#queue.addAfter(name, limits.planChangedMs),
    });
    const fleet = { uid, reconciler, objects };
    this.#fleets.set(name, fleet);
    return fleet;
  }

  #tellRestored(key: ObjectKey, object: KubernetesObject, what: "changed" | "deleted"): void {
    const regarding = this.#parts.caches.pushGateways.get(key);
    const note = `${object.kind} ${object.metadata.name} was ${what} by somebody else and has been put back`;
    this.#parts.logger.info({ ...key, kind: object.kind, object: object.metadata.name, what }, "put back");
    if (regarding !== undefined) this.#parts.events.record({ regarding, type: "Normal", reason: "PutBack", action: "Apply", note });
  }
}

async function fetchText(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(limits.routerLagFetchMs) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return await answer.text();
}

const nameOf = ({ namespace, name }: ObjectKey): string => `${namespace}/${name}`;

function keyOf(text: string): ObjectKey {
  const slash = text.indexOf("/");
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}
