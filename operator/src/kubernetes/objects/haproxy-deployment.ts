import type { V1Deployment, V1PodTemplateSpec } from "@kubernetes/client-node";
import { limits } from "@pushfleet/protocol";
import type { Json } from "../api/types.js";
import { type Fleet, fleetLabels, type Made, type OperatorFacts, ownedMeta, podSelector } from "./fleet.js";
import { haproxyReplicas } from "./haproxy-configuration.js";
import { haproxyName, haproxyRevisionName } from "./names.js";
import { paths } from "./paths.js";
import { probes, readOnlyMount, resourcesOf, sleepBeforeStop, temporaryMount, temporaryVolume } from "./pod-parts.js";
import { restrictedContainer, restrictedPod } from "./pod-security.js";
import { revisionLabel } from "./pod-template.js";
import { ports } from "./ports.js";

/** The user of the official image. */
const haproxyId = 99;

/** HAProxy pods of one revision. They hold sockets too: they are stopped softly (SIGUSR1, the stop signal of the official images), and what is
 *  left after `haproxyStopSeconds` is cut. */
export function buildHaproxyTemplate(fleet: Fleet, operator: OperatorFacts, revision: string): Json<V1PodTemplateSpec> {
  // Safe in every kubelet: one address can open 64,512 connections to a gateway's port only with all its ports.
  const sysctls = [{ name: "net.ipv4.ip_local_port_range", value: "1024 65535" }];
  const spread = { whenUnsatisfiable: "ScheduleAnyway", maxSkew: 1, labelSelector: { matchLabels: podSelector(fleet, "haproxy") } };
  return {
    metadata: { labels: { ...fleetLabels(fleet, "haproxy"), [revisionLabel]: revision } },
    spec: {
      serviceAccountName: haproxyName(fleet),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: limits.preStopSeconds + limits.haproxyStopSeconds + limits.podStopSeconds,
      securityContext: restrictedPod(haproxyId, sysctls),
      topologySpreadConstraints: [
        { topologyKey: "topology.kubernetes.io/zone", ...spread },
        { topologyKey: "kubernetes.io/hostname", ...spread },
      ],
      volumes: [temporaryVolume, { name: "configuration", configMap: { name: haproxyRevisionName(fleet, revision) } }],
      containers: [container(fleet, operator)],
    },
  };
}

function container(fleet: Fleet, operator: OperatorFacts) {
  const { haproxy } = fleet.spec.loadBalancer;
  return {
    name: "haproxy",
    image: haproxy?.image ?? operator.images.haproxy,
    command: ["haproxy", "-W", "-db", "-f", paths.haproxyConfiguration],
    ports: [
      { name: "clients", containerPort: ports.clients, protocol: "TCP" },
      { name: "admin", containerPort: ports.haproxyAdmin, protocol: "TCP" },
    ],
    ...resourcesOf(haproxy?.resources),
    ...probes(ports.haproxyAdmin),
    lifecycle: sleepBeforeStop,
    securityContext: restrictedContainer,
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [{ ...readOnlyMount("configuration", paths.haproxyConfiguration), subPath: "haproxy.cfg" }, temporaryMount],
  };
}

/** The HAProxies' Deployment from the template in force. */
export function instantiateHaproxyDeployment(fleet: Fleet, template: Json<V1PodTemplateSpec>): Made<V1Deployment> {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: ownedMeta(fleet, { name: haproxyName(fleet), component: "haproxy" }),
    spec: {
      replicas: haproxyReplicas(fleet.spec),
      revisionHistoryLimit: limits.revisionHistory,
      selector: { matchLabels: podSelector(fleet, "haproxy") },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template,
    },
  };
}
