import type { V1Pod, V1PodTemplateSpec } from "@kubernetes/client-node";
import { limits } from "@pushfleet/protocol";
import { formatGrant, grantAnnotation, type PodGrant } from "../../core/index.js";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import type { Json } from "../api/types.js";
import { type Fleet, type Made, ownerReference } from "./fleet.js";
import { gatewayTlsSecretName } from "./names.js";
import { secretVolume } from "./pod-parts.js";
import { poolLabel, revisionLabel, slotLabel, unsafeSysctlsAnnotation } from "./pod-template.js";
import { isSafeOn, type NodeVersions } from "./sysctls.js";

export interface PodFacts {
  /** Its spec of now: the drain a new pod starts with, whatever its revision. */
  readonly fleet: Fleet;
  readonly name: string;
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
  readonly grant: PodGrant;
  /** Of the nodes it may run on, as they are now. A sysctl that is unsafe on one of them is left out, so that no kubelet ends the pod with
   *  SysctlForbidden; unless the spec says that kubelets allow it. */
  readonly nodes: readonly NodeVersions[];
}

/** The pod `name` from the template its revision was first made with. */
export function instantiatePod(template: Json<V1PodTemplateSpec>, facts: PodFacts): Made<V1Pod> {
  const { fleet, name, pool, slot, revision, grant } = facts;
  const { spec } = template;
  if (spec === undefined) throw new Error(`the template of revision ${revision} has no spec`);
  const [container, ...others] = spec.containers;
  if (container === undefined) throw new Error(`the template of revision ${revision} has no container`);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: fleet.namespace,
      labels: { ...template.metadata?.labels, [poolLabel]: pool, [slotLabel]: String(slot), [revisionLabel]: revision },
      annotations: { ...template.metadata?.annotations, [grantAnnotation]: formatGrant(grant) },
      ownerReferences: [ownerReference(fleet)],
    },
    spec: {
      ...spec,
      hostname: name,
      terminationGracePeriodSeconds: gracePeriodSeconds(fleet.spec),
      ...securityContext(template, facts.nodes),
      volumes: [...(spec.volumes ?? []), secretVolume("tls", gatewayTlsSecretName(name))],
      containers: [{ ...container, env: [...(container.env ?? []), ...drainEnvironment(fleet.spec)] }, ...others],
    },
  };
}

/** From a pod's deletion to its SIGKILL: a whole drain, what comes before it and what comes after. */
export function gracePeriodSeconds({ drain }: Pick<PushGatewaySpec, "drain">): number {
  return drain.deadlineSeconds + drain.stragglerGraceSeconds + limits.preStopSeconds + limits.podStopSeconds;
}

/** For a SIGTERM that nobody granted (DESIGN §6): the pod's own drain fits its own grace period, which Kubernetes does not let us change later. */
function drainEnvironment({ drain }: PushGatewaySpec) {
  return [
    { name: "PUSHFLEET_GATEWAY_DRAIN_RECONNECTS_PER_SECOND", value: String(drain.reconnectsPerSecond) },
    { name: "PUSHFLEET_GATEWAY_DRAIN_DEADLINE_MS", value: String(drain.deadlineSeconds * 1000) },
    { name: "PUSHFLEET_GATEWAY_DRAIN_STRAGGLER_GRACE_MS", value: String(drain.stragglerGraceSeconds * 1000) },
  ];
}

function securityContext({ metadata, spec }: Json<V1PodTemplateSpec>, nodes: readonly NodeVersions[]) {
  const given = spec?.securityContext;
  if (given?.sysctls === undefined || metadata?.annotations?.[unsafeSysctlsAnnotation] === "Pod") return {};
  const { sysctls, ...rest } = given;
  const safe = sysctls.filter(({ name }) => isSafeOn(name, nodes));
  return { securityContext: safe.length === 0 ? rest : { ...rest, sysctls: safe } };
}
