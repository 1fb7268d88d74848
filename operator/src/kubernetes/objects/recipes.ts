import { stringify } from "yaml";
import type { Fleet, OperatorFacts, Pool } from "./fleet.js";
import { gatewayConfiguration } from "./gateway-configuration.js";
import { haproxyConfiguration } from "./haproxy-configuration.js";
import { buildHaproxyTemplate } from "./haproxy-deployment.js";
import { buildPodTemplate } from "./pod-template.js";
import { haproxyRevision, poolRevision, routerRevision } from "./revisions.js";
import { routerConfiguration } from "./router-configuration.js";
import { buildRouterTemplate } from "./router-deployment.js";
import type { RevisionWish } from "./stored-revision.js";

/** What is wished for a pool's gateways, the routers and the HAProxies: for `chooseRevision`. */

export function gatewayWish(fleet: Fleet, pool: Pool, operator: OperatorFacts): RevisionWish {
  const files = { "gateway.yaml": stringify(gatewayConfiguration(fleet, pool)) };
  return {
    component: "gateway",
    pool: pool.name,
    inputs: poolRevision(fleet.spec, pool),
    adopt: fleet.spec.rollout.adoptOperatorTemplate,
    build: (revision) => ({ template: buildPodTemplate(fleet, pool, operator, revision), files }),
  };
}

export function routerWish(fleet: Fleet, operator: OperatorFacts): RevisionWish {
  const files = { "router.yaml": stringify(routerConfiguration(fleet)) };
  return {
    component: "router",
    inputs: routerRevision(fleet.spec),
    adopt: fleet.spec.rollout.adoptOperatorTemplate,
    build: (revision) => ({ template: buildRouterTemplate(fleet, operator, revision), files }),
  };
}

export function haproxyWish(fleet: Fleet, operator: OperatorFacts): RevisionWish {
  const files = { "haproxy.cfg": haproxyConfiguration(fleet, operator) };
  return {
    component: "haproxy",
    inputs: haproxyRevision(fleet.spec),
    adopt: fleet.spec.rollout.adoptOperatorTemplate,
    build: (revision) => ({ template: buildHaproxyTemplate(fleet, operator, revision), files }),
  };
}
