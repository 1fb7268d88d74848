import type { V1Service } from "@kubernetes/client-node";
import { type Fleet, type Made, ownedMeta, podSelector } from "./fleet.js";
import { clientServiceName, gatewaysName, routerName } from "./names.js";
import { clientPortName, clientPorts, ports, servicePort } from "./ports.js";

/** What clients connect to: the gateways, or the HAProxies before them. */
export function buildClientService(fleet: Fleet): Made<V1Service> {
  const { kind, service } = fleet.spec.loadBalancer;
  const isOutside = service.type !== "ClusterIP";
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: ownedMeta(fleet, { name: clientServiceName(fleet), annotations: service.annotations }),
    spec: {
      type: service.type,
      selector: podSelector(fleet, kind === "HAProxy" ? "haproxy" : "gateway"),
      ports: [{ name: "clients", port: servicePort(fleet.spec), targetPort: "clients", protocol: "TCP" }],
      sessionAffinity: service.sessionAffinity,
      ...(isOutside ? { externalTrafficPolicy: service.externalTrafficPolicy } : {}),
    },
  };
}

/** One address a gateway pod, whether ready or not: HAProxy asks each for itself (a pod that gets ready is used within a second and not
 *  after DNS caches have let go), and names of pods resolve while they drain. Nobody else connects by this Service. */
export function buildGatewaysService(fleet: Fleet): Made<V1Service> {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: ownedMeta(fleet, { name: gatewaysName(fleet), component: "gateway" }),
    spec: {
      clusterIP: "None",
      publishNotReadyAddresses: true,
      selector: podSelector(fleet, "gateway"),
      ports: [
        ...clientPorts(fleet.spec).map((port) => servicePortOf(clientPortName(port), port)),
        servicePortOf("admin", ports.gatewayAdmin),
        servicePortOf("grpc", ports.gatewayGrpc),
      ],
    },
  };
}

/** One address a ready router: gateways resolve it again when a router is gone. */
export function buildRouterService(fleet: Fleet): Made<V1Service> {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: ownedMeta(fleet, { name: routerName(fleet), component: "router" }),
    spec: {
      clusterIP: "None",
      selector: podSelector(fleet, "router"),
      ports: [
        servicePortOf("grpc", ports.routerGrpc),
        servicePortOf("admin", ports.routerAdmin),
        ...(fleet.spec.router.http === undefined ? [] : [servicePortOf("http", ports.routerHttp)]),
      ],
    },
  };
}

function servicePortOf(name: string, port: number) {
  return { name, port, targetPort: port, protocol: "TCP" };
}
