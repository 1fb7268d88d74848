import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyFleet, exampleFleet, exampleOperator } from "../../../../test/support/example-fleet.js";
import type { Fleet } from "./fleet.js";
import { buildFleetObjects } from "./fleet-objects.js";
import { haproxyConfiguration, haproxyReplicas } from "./haproxy-configuration.js";
import { gatewayWish, haproxyWish, routerWish } from "./recipes.js";
import { buildClientService } from "./services.js";
import { chooseRevision } from "./stored-revision.js";

const kindsOf = (fleet: Fleet): readonly string[] =>
  buildFleetObjects(fleet, exampleOperator, {
    revisions: fleet.spec.pools.map((pool) => chooseRevision([], gatewayWish(fleet, pool, exampleOperator)).inForce),
    router: chooseRevision([], routerWish(fleet, exampleOperator)).inForce,
    routerReplicas: 2,
    haproxy: fleet.spec.loadBalancer.kind === "HAProxy" ? chooseRevision([], haproxyWish(fleet, exampleOperator)).inForce : undefined,
  }).map(({ kind = "" }) => kind);

/** The lines of each section of haproxy.cfg, by its first line: "frontend clients". */
function sections(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    if (/^\S/.test(line)) {
      current = [];
      found.set(line.trim(), current);
    } else current.push(line.trim());
  }
  return found;
}
/** What carries clients: every proxy but the one with HAProxy's own health. */
function clientProxies(fleet: Fleet): readonly (readonly [name: string, mode: string, lines: readonly string[]])[] {
  const all = sections(haproxyConfiguration(fleet, exampleOperator));
  const modeOf = (lines: readonly string[] = []) => lines.find((line) => line.startsWith("mode "))?.slice(5);
  return [...all]
    .filter(([name]) => /^(frontend|backend|listen) /.test(name) && name !== "frontend admin")
    .map(([name, lines]) => [name, modeOf(lines) ?? modeOf(all.get("defaults")) ?? "tcp", lines]);
}
const behindHaproxy = exampleFleet({ loadBalancer: { kind: "HAProxy" } });

describe("between clients and gateways", () => {
  test("whatever the spec, nothing speaks HTTP or ends TLS: Service ports are TCP, HAProxy's clients are in mode tcp, and there is no Ingress", () => {
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        expect(kindsOf(fleet).filter((kind) => /Ingress|Route|Gateway$/.test(kind))).toEqual([]);
        for (const { protocol, appProtocol } of buildClientService(fleet).spec?.ports ?? []) {
          expect([protocol, appProtocol]).toEqual(["TCP", undefined]);
        }
        const proxies = clientProxies(fleet);
        expect(proxies.length).toBeGreaterThan(1);
        for (const [name, mode, lines] of proxies) {
          expect([name, mode]).toEqual([name, "tcp"]);
          expect(lines.filter((line) => /^http-re|\bssl\b|\bcrt\b/.test(line))).toEqual([]);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("stands the TCP balancer of the cloud, as an NLB by its annotations, or HAProxy", () => {
    const annotations = { "service.beta.kubernetes.io/aws-load-balancer-type": "external" };
    const cloud = buildClientService(exampleFleet({ loadBalancer: { service: { annotations } } }));
    expect(cloud).toMatchObject({ metadata: { annotations }, spec: { type: "LoadBalancer", ports: [{ protocol: "TCP" }] } });
    expect(cloud.spec?.selector).toMatchObject({ "app.kubernetes.io/component": "gateway" });
    expect(buildClientService(behindHaproxy).spec?.selector).toMatchObject({ "app.kubernetes.io/component": "haproxy" });
    const servers = clientProxies(behindHaproxy).flatMap(([, , lines]) => lines.filter((line) => line.startsWith("server-template")));
    expect(servers.length).toBeGreaterThan(0);
    for (const server of servers) expect(server).toContain("demo-gateways.push.svc");
  });

  test("nothing is sticky unless the spec asks for it: HAProxy balances by connections, and the Service has no affinity", () => {
    expect(buildClientService(exampleFleet()).spec?.sessionAffinity).toBe("None");
    const lines = clientProxies(behindHaproxy).flatMap(([, , own]) => own);
    const balances = lines.filter((line) => line.startsWith("balance "));
    expect(new Set(balances)).toEqual(new Set(["balance leastconn"]));
    expect(lines.filter((line) => /^stick|^cookie|^hash-type/.test(line))).toEqual([]);
  });

  test("HAProxy has a server line for each gateway and client port, from DNS, and asks each gateway for its readiness every second", () => {
    const fleet = exampleFleet({ loadBalancer: { kind: "HAProxy" }, gateway: { extraPorts: [8081, 8090] } });
    const backends = clientProxies(fleet).filter(([name]) => name.startsWith("backend "));
    const servers = backends.map(([, , lines]) => lines.filter((line) => line.startsWith("server")));
    expect(servers).toEqual(
      [8080, 8081, 8090].map((port) => [`server-template gateway- 1-16 demo-gateways.push.svc.cluster.local:${port}`]),
    );
    for (const [name, , lines] of backends) {
      const defaults = lines.find((line) => line.startsWith("default-server ")) ?? "";
      expect([name, defaults]).toEqual([
        name,
        expect.stringMatching(/ check port 9091 inter 1s fall 1 rise 1 resolvers cluster init-addr none$/),
      ]);
      expect(lines).toEqual(expect.arrayContaining(["balance leastconn", "option httpchk GET /readyz", "http-check expect status 200"]));
    }
  });

  test("HAProxy takes another gateway for one that does not connect, cuts nobody for a failed check, and takes as many as its open files allow", () => {
    const all = sections(haproxyConfiguration(behindHaproxy, exampleOperator));
    expect(all.get("defaults")).toContain("option redispatch");
    const lines = [...all.values()].flat();
    expect(lines.filter((line) => /on-marked-down|shutdown-sessions|^maxconn|\bmaxconn\b/.test(line))).toEqual([]);
    expect(all.get("global")).toContainEqual(expect.stringMatching(/^fd-hard-limit \d+$/));
  });

  test("the Service is as the spec says; inside the cluster no traffic comes from outside", () => {
    const service = { annotations: { "example.com/a": "b" }, externalTrafficPolicy: "Local", sessionAffinity: "ClientIP", port: 8443 };
    const built = (type: string) => buildClientService(exampleFleet({ loadBalancer: { service: { ...service, type } } }));
    for (const type of ["LoadBalancer", "NodePort"]) {
      expect(built(type)).toMatchObject({
        metadata: { annotations: service.annotations },
        spec: { type, externalTrafficPolicy: "Local", sessionAffinity: "ClientIP", ports: [{ port: 8443, targetPort: "clients" }] },
      });
    }
    expect(built("ClusterIP").spec).not.toHaveProperty("externalTrafficPolicy"); // Kubernetes refuses it there
  });

  test("three HAProxies, of which one may be away, have the open files for 5 million connections, millions each", () => {
    const pools = [{ name: "default", maxReplicas: 10, softConnections: 500_000, hardConnections: 500_000 }];
    const fleet = exampleFleet({ pools, loadBalancer: { kind: "HAProxy" } });
    const files = Number(/^ *fd-hard-limit (\d+)$/m.exec(haproxyConfiguration(fleet, exampleOperator))?.[1]);
    const connectionsEach = files / 2; // one file for the client, one for the gateway
    expect(haproxyReplicas(fleet.spec)).toBe(3);
    expect(2 * connectionsEach).toBeGreaterThanOrEqual(5_000_000);
    expect(connectionsEach).toBeGreaterThanOrEqual(2_000_000);
  });
});
