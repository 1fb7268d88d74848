import type { KubernetesObject } from "../api/types.js";
import { buildAddressSecret, buildConfigMap } from "./configuration-objects.js";
import { buildGatewayDisruptionBudget, buildHaproxyDisruptionBudget, buildRouterDisruptionBudget } from "./disruption-budgets.js";
import type { Fleet, OperatorFacts } from "./fleet.js";
import { instantiateHaproxyDeployment } from "./haproxy-deployment.js";
import { buildNetworkPolicies } from "./network-policies.js";
import { haproxyRevision, poolRevision, routerRevision } from "./revisions.js";
import { instantiateRouterDeployment } from "./router-deployment.js";
import { buildServiceAccounts } from "./service-accounts.js";
import { buildClientService, buildGatewaysService, buildRouterService } from "./services.js";
import type { StoredRevision } from "./stored-revision.js";

export interface FleetFacts {
  /** Revisions whose configuration has to be there: those in force, and those some pod is still of. */
  readonly revisions: readonly StoredRevision[];
  /** In force (`chooseRevision`). */
  readonly router: StoredRevision;
  /** As the scaling on lag wants them. */
  readonly routerReplicas: number;
  /** In force; only with loadBalancer.kind HAProxy. */
  readonly haproxy?: StoredRevision | undefined;
}

/** All that a fleet should own but its pods, their Secrets, the other certificates, the resume Secret and the ControllerRevisions: in the order
 *  in which it is made. What has the fleet's label and is not here has no use any more. */
export function buildFleetObjects(fleet: Fleet, operator: OperatorFacts, facts: FleetFacts): readonly KubernetesObject[] {
  const { revisions, router, routerReplicas, haproxy } = facts;
  const kept = uniqueRevisions([...revisions, router, ...(haproxy === undefined ? [] : [haproxy])]);
  return [
    ...buildServiceAccounts(fleet),
    ...buildNetworkPolicies(fleet, operator),
    ...kept.map((one) => buildConfigMap(fleet, one)),
    ...kept.filter((one) => isOfSpec(fleet, one)).flatMap((one) => buildAddressSecret(fleet, one) ?? []),
    buildGatewaysService(fleet),
    buildRouterService(fleet),
    buildClientService(fleet),
    buildGatewayDisruptionBudget(fleet),
    buildRouterDisruptionBudget(fleet),
    instantiateRouterDeployment(fleet, router.template, routerReplicas),
    ...(haproxy === undefined ? [] : [buildHaproxyDisruptionBudget(fleet), instantiateHaproxyDeployment(fleet, haproxy.template)]),
  ];
}

function uniqueRevisions(revisions: readonly StoredRevision[]): readonly StoredRevision[] {
  return [...new Map(revisions.map((one) => [`${one.component}/${one.pool ?? ""}/${one.revision}`, one])).values()];
}

/** Whether the spec of now is what the revision was made from. */
function isOfSpec({ spec }: Fleet, { component, pool, inputs }: StoredRevision): boolean {
  if (component === "router") return inputs === routerRevision(spec);
  if (component === "haproxy") return inputs === haproxyRevision(spec);
  const ofSpec = spec.pools.find((one) => one.name === pool);
  return ofSpec !== undefined && inputs === poolRevision(spec, ofSpec);
}
