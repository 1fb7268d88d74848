import type { Logger } from "@pushfleet/service";
import { resources } from "./api/resources.js";
import type { ObjectKey } from "./api/types.js";
import { drainFinalizer, type FinalizerParts, releaseFleet } from "./world/fleet-finalizer.js";

export interface ReleaseParts extends FinalizerParts {
  readonly logger: Logger;
  /** Whether fleets of that namespace are this operator's. */
  readonly isWatched: (namespace: string) => boolean;
}

/** When the operator's Deployment is gone or going, no one will be there to take the finalizers off: they are taken off now. Its fleets go on
 *  running without an operator, and can be deleted; their gateways then drain by themselves. An operator that merely restarts changes nothing. */
export async function releaseAll(deployment: ObjectKey, parts: ReleaseParts): Promise<void> {
  const found = await parts.api.get(resources.deployments, deployment);
  const isGoing = found.kind === "notFound" || (found.kind === "ok" && found.object.metadata.deletionTimestamp !== undefined);
  if (!isGoing) return;
  for (const object of parts.caches.pushGateways.list()) {
    const { namespace = "", finalizers = [] } = object.metadata;
    if (!parts.isWatched(namespace) || !finalizers.includes(drainFinalizer)) continue;
    const released = await releaseFleet(object, [], parts);
    parts.logger.info({ namespace, fleet: object.metadata.name, released }, "gave a fleet free");
  }
}
