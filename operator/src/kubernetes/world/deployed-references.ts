import {
  componentLabel,
  type Fleet,
  haproxyRevisionName,
  type instantiateRouterDeployment,
  ownReferences,
  revisionLabel,
  routerRevisionName,
} from "../objects/index.js";
import type { FleetCaches } from "./fleet-caches.js";

/** What the fleet's Deployments and their pods refer to as they are, "ConfigMap/demo-router-1a2b3c4d": an update that is refused, or never comes to its
 *  end, leaves the pods of before, and what takes their place on another node must find what they read. */
export function deployedReferences(fleet: Fleet, caches: Pick<FleetCaches, "pods" | "owned">): readonly string[] {
  const deployments = caches.owned.get("Deployment")?.cache.byIndex("owner", fleet.uid) ?? [];
  const named = deployments.flatMap((one) => ownReferences(podSpecOf(one)).map(({ kind, name }) => `${kind}/${name}`));
  const running = caches.pods.byIndex("deployed", `${fleet.namespace}/${fleet.name}`).flatMap(({ metadata: { labels = {} } }) => {
    const revision = labels[revisionLabel];
    if (revision === undefined) return [];
    const name = labels[componentLabel] === "router" ? routerRevisionName(fleet, revision) : haproxyRevisionName(fleet, revision);
    return [`ConfigMap/${name}`, `Secret/${name}`];
  });
  return [...named, ...running];
}

/** Of a Deployment's pods. */
export function podSpecOf(deployment: object): Parameters<typeof ownReferences>[0] {
  return (deployment as ReturnType<typeof instantiateRouterDeployment>).spec?.template.spec ?? { containers: [] };
}
