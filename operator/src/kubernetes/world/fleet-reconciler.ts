import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import {
  type Action,
  emptyReconnectWindow,
  type FleetStatus,
  lookAtReconnects,
  type Observed,
  type PodGrant,
  plan,
  reconnectsIn,
  rivalOf,
  rolledOut,
} from "../../core/index.js";
import type { EventRecorder } from "../api/events.js";
import type { LeaderElection } from "../api/leader-election.js";
import type { KubernetesApi, ObjectKey } from "../api/types.js";
import type { Reconciled } from "../api/work-queue.js";
import { ports } from "../objects/ports.js";
import { type Applied, applyActions } from "./apply-actions.js";
import { type GatewayLimit, memoryWarnings, tuningVerified } from "./binding-limits.js";
import { deployedFaults } from "./deployed-faults.js";
import type { FleetApi } from "./fleet-api.js";
import { type FleetCaches, nodeOf, type PushGatewayObject } from "./fleet-caches.js";
import { fleetConditions, isTelling } from "./fleet-conditions.js";
import { addFinalizer, drainFinalizer, giveFree, isFinalizerOverdue } from "./fleet-finalizer.js";
import { objectStatus } from "./fleet-object-status.js";
import type { FleetObjects, Prepared } from "./fleet-objects.js";
import type { GatewayLink } from "./gateway-stream.js";
import { type GatewayAddress, GatewayStreams } from "./gateway-streams.js";
import { markPods } from "./mark-pods.js";
import { isOver, observePod, type Pod, podFault } from "./observe-pod.js";
import { actionEvents, conditionEvents } from "./plan-events.js";
import { grantOf } from "./pod-grant.js";
import { identityOf } from "./pod-identity.js";
import { RefusedCreates } from "./refused-creates.js";
import { RefusedSteps } from "./refused-steps.js";
import type { StatusPace } from "./status-pace.js";
import { rememberedStatus, StatusWriter } from "./status-writer.js";

export interface FleetParts {
  readonly api: KubernetesApi & Pick<FleetApi, "told">;
  readonly caches: FleetCaches;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly leadership: Leadership;
  readonly objects: FleetObjects;
  /** Of the statuses of all fleets. */
  readonly pace: StatusPace;
  readonly connect: (gateway: GatewayAddress) => GatewayLink;
  /** Something of the fleet's gateways changed that a plan may depend on. */
  readonly onChange: () => void;
}

/** Of this process. Its epoch may rise while it leads; see `Observed.epoch` and `Observed.leader`. */
export type Leadership = Pick<LeaderElection, "epoch" | "holder" | "raiseEpochAbove">;

/** One fleet and what this leader remembers of it: observe → plan → apply → tell. Everything else is in the objects; losing this memory is safe. */
export class FleetReconciler {
  readonly #parts: FleetParts;
  readonly #key: ObjectKey;
  readonly #streams: GatewayStreams;
  readonly #objects: FleetObjects;
  readonly #status: StatusWriter;
  readonly #refused = new RefusedCreates();
  readonly #refusedSteps = new RefusedSteps();
  #planned: FleetStatus | undefined;
  #isDeposed = false;
  #reconnects = emptyReconnectWindow;

  constructor(key: ObjectKey, parts: FleetParts) {
    const { clock, random, onChange } = parts;
    this.#parts = parts;
    this.#key = key;
    this.#streams = new GatewayStreams({ clock, random, onChange, connect: parts.connect });
    this.#objects = parts.objects;
    this.#status = new StatusWriter(parts);
  }

  /** `signal` ends it between two writes: nothing is kept that the next one needs. */
  async reconcile(signal: AbortSignal): Promise<Reconciled> {
    const object = this.#parts.caches.pushGateways.get(this.#key);
    if (object === undefined) {
      this.close();
      return { kind: "done" };
    }
    const rival = await this.#findRival(object);
    if (rival !== undefined) return again(rival.lookAfterMs);
    const isGoing = object.metadata.deletionTimestamp !== undefined;
    const orphans = isGoing || !object.spec.dryRun ? await this.#objects.adoptOrphans(object) : [];
    if (signal.aborted) return again(0);
    return !isGoing ? await this.#keep(object, signal) : await this.#end(object, orphans, signal);
  }

  close(): void {
    this.#streams.close();
  }

  /** Whether somebody else leads this fleet, by another Lease or after it was taken over, as its pods' marks say. Then it is left alone, its
   *  status too: two that write one status would never rest. Above an equal this leader first raises its epoch. */
  async #findRival(object: PushGatewayObject): Promise<{ readonly lookAfterMs: number } | undefined> {
    const { leadership, logger } = this.#parts;
    const { epoch, holder } = leadership;
    const marks = this.#pods(object).map(grantOf);
    const rival = rivalOf(marks, { epoch, leader: holder });
    if (rival === "equal") {
      const raised = await leadership.raiseEpochAbove(epoch);
      logger.warn({ ...this.#key, epoch, raised: raised.kind }, "another operator leads this fleet with the same epoch");
      return raised.kind === "raised" ? undefined : { lookAfterMs: limits.planMovingMs };
    }
    if (rival === "leads" && !this.#isDeposed) logger.warn({ ...this.#key, epoch }, "another operator leads this fleet");
    this.#isDeposed = rival === "leads";
    return this.#isDeposed ? { lookAfterMs: limits.planSettledMs } : undefined;
  }

  async #keep(object: PushGatewayObject, signal: AbortSignal): Promise<Reconciled> {
    const finalized = object.spec.dryRun ? { kind: "there" as const } : await addFinalizer(object, this.#parts);
    if (finalized.kind === "later") return again(limits.planMovingMs);
    const pods = this.#pods(object);
    const prepared = await this.#objects.prepare(object, pods);
    if (signal.aborted) return again(0);
    const what = finalized.kind === "refused" ? "was refused" : "could not be written";
    const refusals = "message" in finalized ? [`the finalizer ${what}: ${finalized.message}`] : [];
    const isPartial = prepared.isPartial || finalized.kind === "unanswered";
    return await this.#turn(object, pods, { ...prepared, isPartial, refusals: [...prepared.refusals, ...refusals] }, false, signal);
  }

  /** `orphans`: gateways that are nobody's as yet. Without the fleet they would be so for ever. */
  async #end(object: PushGatewayObject, orphans: readonly string[], signal: AbortSignal): Promise<Reconciled> {
    if (object.metadata.finalizers?.includes(drainFinalizer) !== true) return { kind: "done" };
    const pods = this.#pods(object);
    const left = [...pods.map((pod) => pod.metadata.name), ...orphans];
    if (left.length === 0 || isFinalizerOverdue(object, this.#parts.clock.nowMs())) {
      const released = await giveFree(object, left, this.#parts);
      if (released === "there") return { kind: "done" };
      return again(released === "refused" ? limits.createRefusedMaxMs : limits.planMovingMs);
    }
    const prepared = await this.#objects.prepareEnd(object, pods);
    return await this.#turn(object, pods, { ...prepared, isPartial: orphans.length > 0 }, true, signal);
  }

  /** One observe → plan → apply → tell. */
  async #turn(
    object: PushGatewayObject,
    pods: readonly Pod[],
    prepared: Prepared,
    deleting: boolean,
    signal: AbortSignal,
  ): Promise<Reconciled> {
    const { clock } = this.#parts;
    this.#streams.keep(pods.flatMap(addressOf));
    const observed = this.#observe(object, pods, prepared, deleting);
    const { actions, status } = plan(observed, clock.nowMs());
    const isTellingNew = isTelling(this.#planned, status);
    this.#planned = status;
    const applied = await this.#apply(object, actions, status, prepared, signal);
    if (signal.aborted) return again(0);
    const marked = object.spec.dryRun && !deleting ? true : await this.#mark(object, status);
    const isTold = await this.#tell(object, status, { pods, prepared, deleting, isTellingNew });
    const isMoving = actions.length > 0 || !marked || applied.isPartial || prepared.isPartial || !isTold || status.podsByState.Draining > 0;
    return again(isMoving ? limits.planMovingMs : limits.planSettledMs);
  }

  /** The fleet's pods, those whose labels were put back included. */
  #pods(object: PushGatewayObject): readonly Pod[] {
    return this.#parts.caches.pods.byIndex("owner", object.metadata.uid ?? "");
  }

  #writtenOn(object: PushGatewayObject, uid: string): PodGrant | undefined {
    const pod = this.#pods(object).find((one) => one.metadata.uid === uid);
    return pod === undefined ? undefined : grantOf(pod);
  }

  #observe(object: PushGatewayObject, pods: readonly Pod[], prepared: Prepared, deleting: boolean): Observed {
    const { caches, leadership, clock } = this.#parts;
    const { epoch, holder: leader } = leadership;
    const seen = pods.flatMap((pod) => {
      const { uid = "" } = pod.metadata;
      const stream = this.#streams.get(uid);
      const told = { accepted: stream?.accepted, report: stream?.report(), isAwaited: stream?.isAwaited() };
      const known = { ...told, refusesGrants: this.#refusedSteps.refusesGrants(uid) };
      const one = observePod(pod, known, (name) => nodeOf(caches, name));
      return one === undefined ? [] : [one];
    });
    const totals = rolledOut(seen, prepared.spec.pools).flatMap((pod) => {
      const status = this.#streams.get(pod.uid)?.status();
      const isOld = clock.nowMs() - pod.createdAtMs > limits.reconnectWindowMs;
      return status === undefined
        ? []
        : [{ uid: pod.uid, attempted: status.resumeAttempts ?? 0, failed: status.resumeFailures ?? 0, isOld }];
    });
    this.#reconnects = lookAtReconnects(this.#reconnects, totals, clock.nowMs(), limits.reconnectWindowMs);
    const reconnectFailures = reconnectsIn(this.#reconnects);
    const status = this.#planned ?? rememberedStatus(object, prepared.spec, epoch, clock.nowMs());
    return { spec: prepared.spec, deleting, epoch, leader, pods: seen, status, reconnectFailures };
  }

  async #apply(
    object: PushGatewayObject,
    planned: readonly Action[],
    status: FleetStatus,
    prepared: Prepared,
    signal: AbortSignal,
  ): Promise<Applied> {
    const { api, caches, clock, events, logger } = this.#parts;
    const nowMs = clock.nowMs();
    const moment = { generation: object.metadata.generation ?? 0, nowMs: clock.monotonicMs() };
    const creatable = this.#refused.triable(
      planned.filter((action) => action.kind === "createPod"),
      nowMs,
    );
    const actions = this.#refusedSteps
      .triable(planned, (uid) => this.#writtenOn(object, uid), moment)
      .filter((action) => action.kind !== "createPod" || (creatable.includes(action) && !prepared.heldPools.has(action.pool)));
    const creates = actions.flatMap((action) => (action.kind === "createPod" ? [action.pod] : []));
    await this.#objects.prepareCreates(object, this.#pods(object), creates);
    const uncounted = new Map(status.pools.map((pool) => [pool.name, pool.target - pool.replicas]));
    const applied = await applyActions(actions, {
      api,
      signal,
      namespace: this.#key.namespace,
      cache: caches.pods,
      streamOf: (uid) => this.#streams.get(uid),
      buildPod: (action) => this.#objects.buildPod(object, action, takeOne(uncounted, action.pool)),
      adopt: (name) => this.#objects.found(object, name),
    });
    this.#refused.took(applied, nowMs);
    for (const action of applied.done) {
      if (action.kind !== "renewDrain" && action.kind !== "writeGrant")
        logger.info({ ...this.#key, action: action.kind, why: action.why }, "did");
    }
    const refusals = this.#refusedSteps.took(applied, { ...moment, nowMs: clock.monotonicMs() });
    for (const event of actionEvents(object, { done: applied.done, refusals })) events.record(event);
    return applied;
  }

  async #mark(object: PushGatewayObject, status: FleetStatus): Promise<boolean> {
    const { api, caches, clock } = this.#parts;
    const parts = { api, cache: caches.pods, nowMs: clock.nowMs(), streamOf: (uid: string) => this.#streams.get(uid) };
    return await markPods(this.#pods(object), status, parts);
  }

  async #tell(object: PushGatewayObject, status: FleetStatus, turn: Turn): Promise<boolean> {
    const { prepared } = turn;
    const { api, clock } = this.#parts;
    const pods = this.#pods(object);
    const gateways = pods.flatMap((pod) => this.#limitOf(pod));
    const conditions = fleetConditions(status.conditions, {
      problems: turn.deleting ? [] : prepared.problems,
      warnings: [...prepared.warnings, ...memoryWarnings(gateways, object.spec.pools)],
      tuning: tuningVerified(gateways, object.spec.pools),
      refusals: [...api.told, ...prepared.refusals, ...this.#refused.told, ...this.#refusedSteps.told(clock.monotonicMs())],
      podFaults: [
        ...turn.pods.flatMap((pod) => podFault(pod) ?? []),
        ...deployedFaults({ ...this.#key, uid: object.metadata.uid ?? "" }, this.#parts.caches),
      ],
      dryRun: object.spec.dryRun && !turn.deleting,
    });
    if (!turn.deleting) for (const event of conditionEvents(object, conditions)) this.#parts.events.record(event);
    const facts = {
      name: object.metadata.name,
      generation: object.metadata.generation ?? 0,
      conditions,
      templateOutdated: prepared.templateOutdated,
      movesPerSecond: pods.reduce((sum, pod) => sum + (this.#streams.get(pod.metadata.uid ?? "")?.movesPerSecond() ?? 0), 0),
      nowMs: clock.nowMs(),
    };
    const wanted = objectStatus(status, facts, object.status);
    return await this.#status.write(object, wanted, turn.isTellingNew);
  }

  #limitOf(pod: Pod): readonly GatewayLimit[] {
    const { name, uid = "" } = pod.metadata;
    const status = this.#streams.get(uid)?.status();
    if (status === undefined) return [];
    const { effectiveMaxConnections, bindingLimit } = status;
    const pool = identityOf(pod)?.pool ?? "";
    return [{ pod: name, pool, effectiveMaxConnections: effectiveMaxConnections ?? 0, bindingLimit: bindingLimit ?? "" }];
  }
}

/** A new pod counts at once where the pool has fewer than it should: marking it later would be one more write. */
function takeOne(left: Map<string, number>, pool: string): boolean {
  const count = left.get(pool) ?? 0;
  left.set(pool, count - 1);
  return count > 0;
}

/** What a turn found, as its status tells it. */
interface Turn {
  /** As they were planned for: one that ended says why, and has been deleted since. */
  readonly pods: readonly Pod[];
  readonly prepared: Prepared;
  readonly deleting: boolean;
  readonly isTellingNew: boolean;
}

/** A pod is dialled as soon as it has an address and its containers may run. */
function addressOf(pod: Pod): readonly GatewayAddress[] {
  const { uid, name } = pod.metadata;
  const ip = pod.status?.podIP;
  if (uid === undefined || ip === undefined || isOver(pod)) return [];
  return [{ uid, pod: name, address: `${ip.includes(":") ? `[${ip}]` : ip}:${ports.gatewayGrpc}` }];
}

function again(afterMs: number): Reconciled {
  return { kind: "again", afterMs };
}
