import type { V1PodTemplateSpec } from "@kubernetes/client-node";
import type { Json } from "../api/types.js";
import { addressKeys, secretAddresses } from "./configuration-parts.js";
import { type Fleet, fleetLabels, type OperatorFacts, type Pool, podSelector } from "./fleet.js";
import { workerCount } from "./gateway-configuration.js";
import { gatewayName, gatewaysName, poolRevisionName, resumeSecretName } from "./names.js";
import { paths } from "./paths.js";
import {
  fieldEnvironment,
  probes,
  readOnlyMount,
  resourcesOf,
  secretEnvironment,
  secretVolume,
  sleepBeforeStop,
  temporaryMount,
  temporaryVolume,
} from "./pod-parts.js";
import { restrictedContainer, restrictedPod, unprivilegedId } from "./pod-security.js";
import { clientPortName, clientPorts, ports } from "./ports.js";
import { templateSysctls } from "./sysctls.js";

/** On a template whose sysctls are meant for the pod even where they are unsafe (`unsafeSysctls: Pod`). */
export const unsafeSysctlsAnnotation = "pushfleet.dev/unsafe-sysctls";
/** True when the operator lets the gateway take connections. Part of the pod's readiness: Ready, and with it the Services, follows the operator's
 *  decision at once and not after a probe. */
export const acceptingGate = "pushfleet.dev/accepting";
export const poolLabel = "pushfleet.dev/pool";
export const slotLabel = "pushfleet.dev/slot";
export const revisionLabel = "pushfleet.dev/revision";

/** The pods of one revision of a pool, without anything of one pod (instantiate-pod.ts) and without anything of the nodes of the day. Its
 *  sysctls are all that a pod may ever ask for: which of them a pod gets is decided when it is made. */
export function buildPodTemplate(fleet: Fleet, pool: Pool, operator: OperatorFacts, revision: string): Json<V1PodTemplateSpec> {
  const isUnsafeMeant = pool.tuning.unsafeSysctls === "Pod";
  return {
    metadata: {
      labels: { ...fleetLabels(fleet, "gateway"), [poolLabel]: pool.name, [revisionLabel]: revision },
      annotations: isUnsafeMeant ? { [unsafeSysctlsAnnotation]: "Pod" } : {},
    },
    spec: {
      restartPolicy: "Always",
      serviceAccountName: gatewayName(fleet),
      automountServiceAccountToken: false,
      enableServiceLinks: false, // a Service named pushfleet-gateway would put variables there that look like settings
      subdomain: gatewaysName(fleet),
      securityContext: restrictedPod(unprivilegedId, templateSysctls(pool.tuning)),
      readinessGates: [{ conditionType: acceptingGate }],
      ...(pool.nodeSelector === undefined ? {} : { nodeSelector: pool.nodeSelector }),
      ...(pool.tolerations === undefined ? {} : { tolerations: pool.tolerations }),
      topologySpreadConstraints: spread(fleet, pool),
      volumes: [...volumes(fleet, pool, revision)],
      containers: [container(fleet, pool, operator, revision)],
    },
  };
}

const defaultSpread: NonNullable<Pool["topologySpreadConstraints"]> = [
  { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway" },
  { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" },
];

function spread(fleet: Fleet, pool: Pool) {
  const labelSelector = { matchLabels: { ...podSelector(fleet, "gateway"), [poolLabel]: pool.name } };
  return (pool.topologySpreadConstraints ?? defaultSpread).map((constraint) => ({ ...constraint, labelSelector }));
}

function* volumes(fleet: Fleet, pool: Pool, revision: string) {
  const { auth, tls } = fleet.spec.gateway;
  yield temporaryVolume;
  yield { name: "configuration", configMap: { name: poolRevisionName(fleet, pool.name, revision) } };
  if (auth.hs256SecretRef !== undefined) {
    const { name, key } = auth.hs256SecretRef;
    yield secretVolume("auth", name, [{ key, path: paths.hs256.slice(paths.auth.length + 1) }]);
  }
  if (tls !== undefined) yield secretVolume("client-tls", tls.secretName);
}

function* mounts({ auth, tls }: Fleet["spec"]["gateway"]) {
  yield { ...readOnlyMount("configuration", paths.gatewayConfiguration), subPath: "gateway.yaml" };
  yield readOnlyMount("tls", paths.tls);
  if (auth.hs256SecretRef !== undefined) yield readOnlyMount("auth", paths.auth);
  if (tls !== undefined) yield readOnlyMount("client-tls", paths.clientTls);
  yield temporaryMount;
}

function container(fleet: Fleet, pool: Pool, operator: OperatorFacts, revision: string) {
  const { gateway } = fleet.spec;
  return {
    name: "gateway",
    image: gateway.image ?? operator.images.gateway,
    args: ["-c", paths.gatewayConfiguration],
    env: [...environment(fleet, pool, revision)],
    ports: containerPorts(fleet.spec),
    ...resourcesOf(gateway.resources),
    ...probes(ports.gatewayAdmin),
    lifecycle: sleepBeforeStop,
    securityContext: restrictedContainer,
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [...mounts(gateway)],
  };
}

/** What gateway.yaml, the same for all pods of a revision, cannot say. */
function* environment(fleet: Fleet, pool: Pool, revision: string) {
  yield fieldEnvironment("PUSHFLEET_GATEWAY_ID", "metadata.name");
  yield fieldEnvironment("PUSHFLEET_GATEWAY_GRPC_ADVERTISE_HOST", "status.podIP");
  // Kubernetes copies the node's zone to the pod's label from 1.35 on (KEP-4742); before, the value is empty and the operator knows the node.
  yield fieldEnvironment("PUSHFLEET_GATEWAY_ZONE", "metadata.labels['topology.kubernetes.io/zone']");
  const { auth } = fleet.spec.gateway;
  if (auth.hs256SecretRef === undefined) {
    yield secretEnvironment("PUSHFLEET_GATEWAY_AUTH_RESUME_SECRET", resumeSecretName(fleet), resumeSecretKey);
  }
  if (addressKeys.registryUrl in secretAddresses(fleet.spec, "gateway")) {
    yield secretEnvironment("PUSHFLEET_GATEWAY_REGISTRY_URL", poolRevisionName(fleet, pool.name, revision), addressKeys.registryUrl);
  }
}

export const resumeSecretKey = "key";

function containerPorts(spec: Fleet["spec"]) {
  const workers = workerCount(spec.gateway) ?? 1; // without a number at least the first is told
  return [
    ...clientPorts(spec).map((port) => ({ name: clientPortName(port), containerPort: port, protocol: "TCP" })),
    { name: "admin", containerPort: ports.gatewayAdmin, protocol: "TCP" },
    ...Array.from({ length: workers }, (_, index) => ({
      name: index === 0 ? "grpc" : `grpc-${index}`,
      containerPort: ports.gatewayGrpc + index,
      protocol: "TCP",
    })),
  ];
}
