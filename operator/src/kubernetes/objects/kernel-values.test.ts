import { expect, test } from "vitest";
import { exampleFleet, exampleOperator } from "../../../../test/support/example-fleet.js";
import { grantOf } from "../../../../test/support/observed-fleet.js";
import { instantiatePod } from "./instantiate-pod.js";
import { buildPodTemplate } from "./pod-template.js";
import { poolRevision } from "./revisions.js";

/** Kernel values of a gateway pod on nodes of today, from a spec that says nothing of values. */
function valuesOf(tuning: object): Readonly<Record<string, string>> {
  const fleet = exampleFleet({ pools: [{ name: "default", tuning }] });
  const [pool] = fleet.spec.pools;
  if (pool === undefined) throw new Error("a fleet without a pool");
  const revision = poolRevision(fleet.spec, pool);
  const template = buildPodTemplate(fleet, pool, exampleOperator, revision);
  const nodes = [{ kubeletVersion: "v1.34.4", kernelVersion: "6.1.0" }];
  const pod = instantiatePod(template, { fleet, name: "demo-default-0-r1", pool: pool.name, slot: 0, revision, grant: grantOf(), nodes });
  return Object.fromEntries((pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]));
}

test("a gateway pod asks for the founding document's ports, FIN time-out and buffers of sockets, with no more than a default spec", () => {
  expect(valuesOf({})).toEqual({
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.tcp_fin_timeout": "15",
    "net.ipv4.tcp_rmem": "4096 12288 16777216",
    "net.ipv4.tcp_wmem": "4096 12288 16777216",
  });
});

test("where the kubelets allow it, a gateway pod asks for the founding document's queues and the reuse of TIME_WAIT sockets too", () => {
  expect(valuesOf({ unsafeSysctls: "Pod" })).toMatchObject({
    "net.core.somaxconn": "65535",
    "net.ipv4.tcp_max_syn_backlog": "65535",
    "net.ipv4.tcp_tw_reuse": "1",
  });
});
