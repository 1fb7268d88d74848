import type { V1ServiceAccount } from "@kubernetes/client-node";
import { type Component, type Fleet, type Made, ownedMeta } from "./fleet.js";
import { gatewayName, haproxyName, routerName } from "./names.js";

/** Accounts without any right and without a token: they keep the parts apart for admission and image pull secrets. */
export function buildServiceAccounts(fleet: Fleet): readonly Made<V1ServiceAccount>[] {
  return [
    account(fleet, gatewayName(fleet), "gateway"),
    account(fleet, routerName(fleet), "router"),
    ...(fleet.spec.loadBalancer.kind === "HAProxy" ? [account(fleet, haproxyName(fleet), "haproxy")] : []),
  ];
}

function account(fleet: Fleet, name: string, component: Component): Made<V1ServiceAccount> {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: ownedMeta(fleet, { name, component }),
    automountServiceAccountToken: false,
  };
}
