import { expect, test } from "vitest";
import { exampleFleet, exampleOperator, firstGrant } from "../../../../test/support/example-fleet.js";
import type { Fleet } from "./fleet.js";
import { buildHaproxyTemplate } from "./haproxy-deployment.js";
import { instantiatePod } from "./instantiate-pod.js";
import { ownReferences } from "./pod-references.js";
import { buildPodTemplate } from "./pod-template.js";
import { buildRouterTemplate } from "./router-deployment.js";

const password = { registry: { kind: "Redis", url: "redis://me:secret@redis:6379" } };
const theUsers = {
  gateway: { auth: { hs256SecretRef: { name: "jwt", key: "key" } }, tls: { secretName: "clients" } },
  router: { minReplicas: 1, maxReplicas: 1, http: { apiTokensSecretRef: { name: "publishers", key: "tokens" } } },
};
const issuer = { gateway: { auth: { jwksUrl: "https://issuer.example/jwks" } } };
const [gateway, router, haproxy] = ["ServiceAccount/demo-gateway", "ServiceAccount/demo-router", "ServiceAccount/demo-haproxy"];

function gatewayOf(fleet: Fleet) {
  const [pool] = fleet.spec.pools;
  if (pool === undefined) return expect.unreachable();
  const facts = { fleet, name: "demo-default-0-1", pool: pool.name, slot: 0, revision: "1", grant: firstGrant, nodes: [] };
  return instantiatePod(buildPodTemplate(fleet, pool, exampleOperator, "1"), facts).spec;
}
const routerOf = (fleet: Fleet) => buildRouterTemplate(fleet, exampleOperator, "1").spec;
const haproxyOf = (fleet: Fleet) => buildHaproxyTemplate(fleet, exampleOperator, "1").spec;

test.each<[string, object, (fleet: Fleet) => ReturnType<typeof routerOf>, readonly string[]]>([
  ["a gateway", {}, gatewayOf, [gateway, "ConfigMap/demo-default-1", "Secret/demo-default-0-1-tls"]],
  ["a gateway with Secrets of the user's", theUsers, gatewayOf, [gateway, "ConfigMap/demo-default-1", "Secret/demo-default-0-1-tls"]],
  [
    "a gateway with a key of its fleet's own and a password",
    { ...issuer, ...password },
    gatewayOf,
    [gateway, "ConfigMap/demo-default-1", "Secret/demo-default-0-1-tls", "Secret/demo-resume", "Secret/demo-default-1"],
  ],
  ["a router", theUsers, routerOf, [router, "ConfigMap/demo-router-1", "Secret/demo-router-tls"]],
  ["a router with a password", password, routerOf, [router, "ConfigMap/demo-router-1", "Secret/demo-router-tls", "Secret/demo-router-1"]],
  ["an HAProxy", {}, haproxyOf, [haproxy, "ConfigMap/demo-haproxy-1"]],
])("%s needs of its fleet's objects (%j)", (_what, spec, podOf, expected) => {
  const pod = podOf(exampleFleet(spec)) ?? expect.unreachable();
  expect(ownReferences(pod).map(({ kind, name }) => `${kind}/${name}`)).toEqual(expected);
});
