import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { pause } from "./api/back-off.js";
import { resources } from "./api/resources.js";
import type { ObjectKey } from "./api/types.js";
import { drainFinalizer, type FinalizerParts, releaseFleet } from "./world/fleet-finalizer.js";

export interface ReleaseParts extends FinalizerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether fleets of that namespace are this operator's. */
  readonly isWatched: (namespace: string) => boolean;
}

/** A process that is to end has 30 s for all it does. */
const roundsMax = 3;
const roundsMs = 8_000;

/** When the operator's Deployment is gone or going, no one will be there to take the finalizers off: they are taken off now. Its fleets go on
 *  running without an operator, and can be deleted; their gateways then drain by themselves. An operator that merely restarts changes nothing.
 *  What fails is tried again: the API server has much to do where all of a namespace goes, and a fleet may have been edited a moment ago. */
export async function releaseAll(deployment: ObjectKey, parts: ReleaseParts): Promise<void> {
  const { clock } = parts;
  const never = new AbortController().signal;
  const untilMs = clock.monotonicMs() + roundsMs;
  for (let round = 1; !(await releaseWhatCanBe(deployment, parts)); round += 1) {
    if (round === roundsMax || clock.monotonicMs() >= untilMs) return;
    await pause(clock, limits.kubernetesRetryMinMs * 2 ** round, never);
  }
}

/** Whether nothing is left to do. */
async function releaseWhatCanBe(deployment: ObjectKey, parts: ReleaseParts): Promise<boolean> {
  const found = await parts.api.get(resources.deployments, deployment);
  if (found.kind === "unavailable") return false;
  const isGoing = found.kind === "notFound" || (found.kind === "ok" && found.object.metadata.deletionTimestamp !== undefined);
  if (!isGoing) return true;
  let left = 0;
  for (const object of parts.caches.pushGateways.list()) {
    const { namespace = "", finalizers = [] } = object.metadata;
    if (!parts.isWatched(namespace) || !finalizers.includes(drainFinalizer)) continue;
    const released = await releaseFleet(object, [], parts);
    if (!released) left += 1;
    parts.logger.info({ namespace, fleet: object.metadata.name, released }, "gave a fleet free");
  }
  return left === 0;
}
