import { describeFault } from "@pushfleet/protocol";
import { validateConfiguration } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { gatewayRefinements, gatewaySchema, processRefinements } from "./configuration.js";

const least = { id: "gw-1", auth: { hs256Secret: "dev-secret" }, registry: { kind: "redis", url: "redis://127.0.0.1:6379" } };
const faults = (value: unknown, refinements = gatewayRefinements): readonly string[] => {
  const configured = validateConfiguration(gatewaySchema, value, refinements);
  return configured.kind === "faults" ? configured.faults.map(describeFault) : [];
};

describe("gateway.yaml", () => {
  test("needs an id, a key and a registry, and has defaults for the rest", () => {
    expect(validateConfiguration(gatewaySchema, least, processRefinements)).toEqual({
      kind: "configuration",
      value: {
        id: "gw-1",
        listen: { host: "127.0.0.1", port: 8080, extraPorts: [], allowedOrigins: ["*"], trustedProxies: [] },
        admin: { host: "127.0.0.1", port: 9091 },
        grpc: { host: "127.0.0.1", port: 9101 },
        auth: { hs256Secret: "dev-secret", maxLifetimeSeconds: 300 },
        registry: { kind: "redis", url: "redis://127.0.0.1:6379", keyPrefix: "" },
        router: { addresses: ["127.0.0.1:9200"] },
        limits: { maxConnections: 650_000, handshakesPerSecond: 5_000 },
        heartbeat: { intervalMs: 30_000, timeoutMs: 90_000 },
        drain: { reconnectsPerSecond: 1000, deadlineMs: 1_500_000, stragglerGraceMs: 30_000 },
      },
    });
  });

  test("names everything that is wrong at once, what no schema can say included", () => {
    expect(
      faults({ ...least, id: "a b", auth: {}, heartbeat: { intervalMs: 5000, timeoutMs: 5000 }, limits: { maxConnection: 5 } }),
    ).toEqual([
      'id: "a b" is not right, expected 1 to 128 bytes of [A-Za-z0-9._:@-]',
      'limits.maxConnection: 5 is not right, expected "maxConnections" (there is no field "maxConnection")',
      "auth: missing, expected one of hs256Secret, hs256SecretFile, jwksUrl, jwksFile",
      "heartbeat.timeoutMs: 5000 is not right, expected more than heartbeat.intervalMs (5000)",
    ]);
  });

  test.each([
    [{ grpc: { host: "0.0.0.0" } }, "grpc.host"],
    [{ listen: { port: 8080, extraPorts: [8081, 8080] } }, "listen.extraPorts"],
    [{ auth: { hs256Secret: "x", algorithms: ["RS256"] } }, "auth.algorithms[0]"],
    [{ listen: { tls: { certFile: "x" } } }, "listen.tls.keyFile"],
    [{ workers: 0 }, "workers"],
  ])("%j is a fault of %s", (changes, path) => {
    expect(faults({ ...least, ...changes }).map((fault) => fault.split(": ")[0])).toEqual([path]);
  });

  test("of a process cannot have its registry in memory, nor no router; in local mode it can", () => {
    const local = { ...least, registry: { kind: "memory" }, router: { addresses: [] } };
    expect(faults(local)).toEqual([]);
    expect(faults(local, processRefinements).map((fault) => fault.split(": ")[0])).toEqual(["registry.kind", "router.addresses"]);
  });
});
