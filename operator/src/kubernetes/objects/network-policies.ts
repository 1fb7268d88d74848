import type { KubernetesObject } from "../api/types.js";
import { type Component, type Fleet, type OperatorFacts, ownedMeta, podSelector } from "./fleet.js";
import { gatewayName, haproxyName, routerName } from "./names.js";
import { clientPorts, ports } from "./ports.js";

interface Port {
  readonly protocol: string;
  readonly port: number;
  /** Last of a range. */
  readonly endPort?: number;
}

interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
}

/** Without `from`: from anywhere. */
export interface IngressRule {
  readonly from?: readonly { readonly podSelector?: LabelSelector; readonly namespaceSelector?: LabelSelector }[];
  readonly ports: readonly Port[];
}

/** networking.k8s.io/v1, as far as it is used here. The type of `@kubernetes/client-node` calls `from` by another name than JSON does. */
export interface NetworkPolicy extends KubernetesObject {
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes: readonly ["Ingress"];
    readonly ingress: readonly IngressRule[];
  };
}

/** Who may connect to what in a fleet (I7). Everything that is not written here is denied; going out (Redis, Kafka, Cassandra, DNS, a key
 *  set's URL) is left to the cluster. Policies add up: one of the user's own can let a metrics scraper in. */
export function buildNetworkPolicies(fleet: Fleet, operator: OperatorFacts): readonly NetworkPolicy[] {
  const hasHaproxy = fleet.spec.loadBalancer.kind === "HAProxy";
  return [
    gatewayPolicy(fleet, operator, hasHaproxy),
    routerPolicy(fleet, operator),
    ...(hasHaproxy ? [haproxyPolicy(fleet, operator)] : []),
  ];
}

function gatewayPolicy(fleet: Fleet, operator: OperatorFacts, hasHaproxy: boolean): NetworkPolicy {
  const clients = clientPorts(fleet.spec).map(tcp);
  const grpc = { ...tcp(ports.gatewayGrpc), endPort: ports.gatewayGrpcLast };
  return policy(fleet, gatewayName(fleet), "gateway", [
    hasHaproxy ? { from: [pods(fleet, "haproxy")], ports: [...clients, tcp(ports.gatewayAdmin)] } : { ports: clients },
    { from: [pods(fleet, "router"), pods(fleet, "gateway")], ports: [grpc] },
    { from: [operatorPods(operator)], ports: [grpc, tcp(ports.gatewayAdmin)] },
  ]);
}

function routerPolicy(fleet: Fleet, operator: OperatorFacts): NetworkPolicy {
  return policy(fleet, routerName(fleet), "router", [
    { from: [pods(fleet, "gateway"), pods(fleet, "router")], ports: [tcp(ports.routerGrpc)] },
    { from: [operatorPods(operator)], ports: [tcp(ports.routerGrpc), tcp(ports.routerAdmin)] },
    // Publishers may be anywhere; each request needs a token.
    ...(fleet.spec.router.http === undefined ? [] : [{ ports: [tcp(ports.routerHttp)] }]),
  ]);
}

function haproxyPolicy(fleet: Fleet, operator: OperatorFacts): NetworkPolicy {
  return policy(fleet, haproxyName(fleet), "haproxy", [
    { ports: [tcp(ports.clients)] },
    { from: [operatorPods(operator)], ports: [tcp(ports.haproxyAdmin)] },
  ]);
}

const tcp = (port: number) => ({ protocol: "TCP", port });

/** Of this fleet, in its own namespace. */
const pods = (fleet: Fleet, component: Component) => ({ podSelector: { matchLabels: podSelector(fleet, component) } });

/** Every namespace has this label of its name by itself. */
const operatorPods = ({ namespace }: OperatorFacts) => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
});

function policy(fleet: Fleet, name: string, component: Component, ingress: readonly IngressRule[]): NetworkPolicy {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: ownedMeta(fleet, { name, component }),
    spec: { podSelector: { matchLabels: podSelector(fleet, component) }, policyTypes: ["Ingress"], ingress },
  };
}
