import type { V1Deployment, V1PodTemplateSpec } from "@kubernetes/client-node";
import { limits } from "@pushfleet/protocol";
import type { Json } from "../api/types.js";
import { addressKeys, secretAddresses } from "./configuration-parts.js";
import { type Fleet, fleetLabels, type Made, type OperatorFacts, ownedMeta, podSelector } from "./fleet.js";
import { routerName, routerRevisionName, routerTlsSecretName } from "./names.js";
import { paths } from "./paths.js";
import {
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
import { revisionLabel } from "./pod-template.js";
import { ports } from "./ports.js";

/** Router pods of one revision; kept in a ControllerRevision as the gateways' are. */
export function buildRouterTemplate(fleet: Fleet, operator: OperatorFacts, revision: string): Json<V1PodTemplateSpec> {
  const spread = { whenUnsatisfiable: "ScheduleAnyway", maxSkew: 1, labelSelector: { matchLabels: podSelector(fleet, "router") } };
  return {
    metadata: { labels: { ...fleetLabels(fleet, "router"), [revisionLabel]: revision } },
    spec: {
      serviceAccountName: routerName(fleet),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: limits.preStopSeconds + limits.routerGraceSeconds,
      securityContext: restrictedPod(unprivilegedId),
      topologySpreadConstraints: [
        { topologyKey: "topology.kubernetes.io/zone", ...spread },
        { topologyKey: "kubernetes.io/hostname", ...spread },
      ],
      volumes: [
        temporaryVolume,
        { name: "configuration", configMap: { name: routerRevisionName(fleet, revision) } },
        secretVolume("tls", routerTlsSecretName(fleet)),
        ...apiTokensVolume(fleet),
      ],
      containers: [container(fleet, operator, revision)],
    },
  };
}

function apiTokensVolume({ spec: { router } }: Fleet) {
  if (router.http === undefined) return [];
  const { name, key } = router.http.apiTokensSecretRef;
  return [secretVolume("api-tokens", name, [{ key, path: "tokens" }])];
}

function container(fleet: Fleet, operator: OperatorFacts, revision: string) {
  const { router } = fleet.spec;
  return {
    name: "router",
    image: router.image ?? operator.images.router,
    args: ["-c", paths.routerConfiguration],
    env: [...environment(fleet, revision)],
    ports: [
      { name: "grpc", containerPort: ports.routerGrpc, protocol: "TCP" },
      { name: "admin", containerPort: ports.routerAdmin, protocol: "TCP" },
      ...(router.http === undefined ? [] : [{ name: "http", containerPort: ports.routerHttp, protocol: "TCP" }]),
    ],
    ...resourcesOf(router.resources),
    ...probes(ports.routerAdmin),
    lifecycle: sleepBeforeStop,
    securityContext: restrictedContainer,
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      { ...readOnlyMount("configuration", paths.routerConfiguration), subPath: "router.yaml" },
      readOnlyMount("tls", paths.tls),
      ...(router.http === undefined ? [] : [readOnlyMount("api-tokens", paths.apiTokens)]),
      temporaryMount,
    ],
  };
}

function* environment(fleet: Fleet, revision: string) {
  const addresses = secretAddresses(fleet.spec, "router");
  const secret = routerRevisionName(fleet, revision);
  if (addressKeys.registryUrl in addresses) yield secretEnvironment("PUSHFLEET_ROUTER_REGISTRY_URL", secret, addressKeys.registryUrl);
  if (addressKeys.storeUrl in addresses) yield secretEnvironment("PUSHFLEET_ROUTER_STORE_URL", secret, addressKeys.storeUrl);
}

/** The routers' Deployment from the template in force. With store.kind Memory the old router goes before the new one comes: two would hold
 *  two stores. */
export function instantiateRouterDeployment(fleet: Fleet, template: Json<V1PodTemplateSpec>, replicas: number): Made<V1Deployment> {
  const isAlone = fleet.spec.store?.kind === "Memory";
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: ownedMeta(fleet, { name: routerName(fleet), component: "router" }),
    spec: {
      replicas,
      revisionHistoryLimit: limits.revisionHistory,
      selector: { matchLabels: podSelector(fleet, "router") },
      strategy: isAlone ? { type: "Recreate" } : { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template,
    },
  };
}
