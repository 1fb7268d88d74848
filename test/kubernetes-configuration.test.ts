import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gatewaySchema, processRefinements } from "@pushfleet/gateway";
import { routerProcessRefinements, routerSchema } from "@pushfleet/router";
import { loadConfiguration, validateConfiguration } from "@pushfleet/service";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type Fleet,
  gatewayConfiguration,
  gatewayWish,
  instantiatePod,
  routerConfiguration,
  routerWish,
} from "../operator/src/kubernetes/objects/index.js";
import { temporaryFolder } from "./peers/temporary-folder.js";
import { anyFleet, exampleFleet, exampleOperator, firstGrant as grant } from "./support/example-fleet.js";

/** What a container's environment holds, with what the kubelet and a Secret would put there. */
function environmentOf(env: readonly { readonly name: string; readonly value?: string }[], fleet: Fleet): Readonly<Record<string, string>> {
  const given: Readonly<Record<string, string>> = {
    PUSHFLEET_GATEWAY_ID: "demo-default-0-00000000",
    PUSHFLEET_GATEWAY_GRPC_ADVERTISE_HOST: "10.0.0.7",
    PUSHFLEET_GATEWAY_ZONE: "",
    PUSHFLEET_GATEWAY_AUTH_RESUME_SECRET: "resume",
    PUSHFLEET_GATEWAY_REGISTRY_URL: fleet.spec.registry?.url ?? "",
    PUSHFLEET_ROUTER_REGISTRY_URL: fleet.spec.registry?.url ?? "",
  };
  return Object.fromEntries(env.map(({ name, value }) => [name, value ?? given[name] ?? `nothing gives ${name}`]));
}

async function temporaryFile(text: string): Promise<string> {
  const folder = await temporaryFolder("kubernetes-configuration");
  onTestFinished(() => folder.remove());
  const file = join(folder.path, "configuration.yaml");
  writeFileSync(file, text);
  return file;
}

/** gateway.yaml and the environment of a pod, as the gateway in it would read them. */
async function gatewayReads(fleet: Fleet) {
  const [pool] = fleet.spec.pools;
  if (pool === undefined) throw new Error("a fleet without a pool");
  const { inputs, build } = gatewayWish(fleet, pool, exampleOperator);
  const { template, files } = build(inputs);
  const pod = instantiatePod(template, {
    fleet,
    name: "demo-default-0-00000000",
    pool: pool.name,
    slot: 0,
    revision: inputs,
    grant,
    nodes: [],
  });
  const env = pod.spec?.containers[0]?.env ?? [];
  return loadConfiguration(
    gatewaySchema,
    {
      file: await temporaryFile(files["gateway.yaml"] ?? ""),
      environmentPrefix: "PUSHFLEET_GATEWAY_",
      environment: environmentOf(env, fleet),
    },
    processRefinements,
  );
}

async function routerReads(fleet: Fleet) {
  const { inputs, build } = routerWish(fleet, exampleOperator);
  const { template, files } = build(inputs);
  const env = template.spec?.containers[0]?.env ?? [];
  return loadConfiguration(
    routerSchema,
    {
      file: await temporaryFile(files["router.yaml"] ?? ""),
      environmentPrefix: "PUSHFLEET_ROUTER_",
      environment: environmentOf(env, fleet),
    },
    routerProcessRefinements,
  );
}

const faultsOf = (read: { readonly kind: string; readonly faults?: unknown }): unknown => read.faults ?? [];

describe("the configuration a fleet's pods read", () => {
  test("a gateway takes its gateway.yaml with its pod's environment over it", async () => {
    const fleet = exampleFleet({
      gateway: {
        auth: { hs256SecretRef: { name: "jwt", key: "key" }, issuer: "me" },
        tls: { secretName: "clients" },
        extraPorts: [8081, 8082],
        resources: { limits: { cpu: "4" } },
      },
      drain: { reconnectsPerSecond: 50, deadlineSeconds: 100, stragglerGraceSeconds: 7 },
    });
    const read = await gatewayReads(fleet);
    expect(faultsOf(read)).toEqual([]);
    expect(read).toMatchObject({
      value: {
        id: "demo-default-0-00000000",
        workers: 4,
        listen: { host: "0.0.0.0", port: 8080, extraPorts: [8081, 8082], tls: { certFile: "/etc/pushfleet/client-tls/tls.crt" } },
        grpc: { host: "0.0.0.0", port: 9101, advertiseHost: "10.0.0.7", tls: { caFile: "/etc/pushfleet/tls/ca.crt" } },
        auth: { hs256SecretFile: "/etc/pushfleet/auth/hs256", issuer: "me", maxLifetimeSeconds: 300 },
        registry: { kind: "redis", url: "redis://redis:6379", keyPrefix: "push/demo:" },
        router: { addresses: ["demo-router.push.svc:9200"] },
        limits: { maxConnections: 650_000, handshakesPerSecond: 5000 },
        drain: { reconnectsPerSecond: 50, deadlineMs: 100_000, stragglerGraceMs: 7_000 },
      },
    });
  });

  test("a router takes its router.yaml, and its HTTP stays on loopback", async () => {
    const fleet = exampleFleet({ router: { minReplicas: 1, maxReplicas: 1, kafka: { brokers: ["kafka:9092"] } } });
    const read = await routerReads(fleet);
    expect(faultsOf(read)).toEqual([]);
    expect(read).toMatchObject({
      value: {
        http: { host: "127.0.0.1" },
        grpc: { host: "0.0.0.0", tls: { keyFile: "/etc/pushfleet/tls/tls.key" } },
        kafka: { groupId: "pushfleet-router.push.demo", topic: "notifications.in_app", outcomesTopic: null },
        store: { kind: "memory", allowVolatile: true },
      },
    });
  });

  test("an address with a password is in no ConfigMap, and the processes have it all the same", async () => {
    const fleet = exampleFleet({ registry: { kind: "Redis", url: "redis://me:secret@redis:6379" } });
    for (const read of [await gatewayReads(fleet), await routerReads(fleet)]) {
      expect(faultsOf(read)).toEqual([]);
      expect(read).toMatchObject({ value: { registry: { url: "redis://me:secret@redis:6379" } } });
    }
    const [pool] = fleet.spec.pools;
    expect(JSON.stringify(pool && gatewayWish(fleet, pool, exampleOperator).build(""))).not.toContain("secret@");
    expect(JSON.stringify(routerWish(fleet, exampleOperator).build(""))).not.toContain("secret@");
  });

  test("with a key set the algorithms are those the API promises, and the resume key comes from a Secret", async () => {
    const read = await gatewayReads(exampleFleet({ gateway: { auth: { jwksUrl: "https://issuer.example/jwks" } } }));
    expect(faultsOf(read)).toEqual([]);
    expect(read).toMatchObject({ value: { auth: { algorithms: ["RS256", "ES256"], resumeSecret: "resume" } } });
  });

  test("a gateway and a router take what any spec makes", () => {
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        const registry = { url: fleet.spec.registry?.url };
        for (const pool of fleet.spec.pools) {
          const file = gatewayConfiguration(fleet, pool);
          const whole = { id: "a", ...file, registry: { ...(file["registry"] as object), ...registry } };
          expect(faultsOf(validateConfiguration(gatewaySchema, whole, processRefinements))).toEqual([]);
        }
        const file = routerConfiguration(fleet);
        const whole = { ...file, registry: { ...(file["registry"] as object), ...registry } };
        expect(faultsOf(validateConfiguration(routerSchema, whole, routerProcessRefinements))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
