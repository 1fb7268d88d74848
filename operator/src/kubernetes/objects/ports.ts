import type { PushGatewaySpec } from "../../generated/push-gateway.js";

/** Ports inside the pods. 9091 to 9228 are kept free of client ports by a rule of the schema. */
export const ports = {
  /** The first client port; also HAProxy's. */
  clients: 8080,
  gatewayAdmin: 9091,
  /** Worker i listens on this + i. */
  gatewayGrpc: 9101,
  /** Of the most workers a pod may have, 128. */
  gatewayGrpcLast: 9228,
  routerHttp: 8081,
  routerAdmin: 9092,
  routerGrpc: 9200,
  haproxyAdmin: 9093,
} as const;

/** All client ports of a gateway, the first one first. */
export function clientPorts(spec: Pick<PushGatewaySpec, "gateway">): readonly number[] {
  return [ports.clients, ...spec.gateway.extraPorts];
}

/** Name of a client port, at most 15 characters as Kubernetes asks. */
export function clientPortName(port: number): string {
  return port === ports.clients ? "clients" : `clients-${port}`;
}

/** The port clients use. */
export function servicePort({ gateway, loadBalancer }: PushGatewaySpec): number {
  return loadBalancer.service.port ?? (gateway.tls === undefined ? 80 : 443);
}
