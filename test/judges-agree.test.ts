import { describeFault } from "@pushfleet/protocol";
import { registrySchema } from "@pushfleet/registry";
import { HostPort, validateConfiguration } from "@pushfleet/service";
import { Type } from "@sinclair/typebox";
import { describe, expect, test } from "vitest";
import { fleetProblems } from "../operator/src/kubernetes/objects/index.js";
import { parseManifest } from "../operator/src/manifest/index.js";
import { completeSpec, smallestSpec } from "./support/example-fleet.js";

const url = "redis://redis";

/** What each judge says of a key prefix and a broker: the parts' own configuration, a manifest (the API server's verdict, see crd-on-api-server.test.ts),
 *  and the operator for what an older API took. */
function verdicts({ keyPrefix, broker }: { readonly keyPrefix: string; readonly broker: string }): readonly (readonly string[])[] {
  const configured = validateConfiguration(
    Type.Object({ registry: registrySchema, kafka: Type.Object({ brokers: Type.Array(HostPort()) }) }),
    {
      registry: { kind: "redis", url, keyPrefix },
      kafka: { brokers: [broker] },
    },
  );
  const registry = { kind: "Redis", url, keyPrefix } as const;
  const router = (brokers: readonly string[]) => ({ minReplicas: 1, maxReplicas: 1, kafka: { brokers } });
  const head = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" } };
  const parsed = parseManifest(JSON.stringify({ ...head, spec: { registry, router: router([broker]) } }));
  const known = { name: "demo", otherFleets: [], collisions: [], secrets: new Map([["jwt", { key: 32 }]]) };
  const spec = completeSpec({ ...smallestSpec, registry: { kind: "Redis", url }, router: router(["kafka:9092"]) });
  const kafka = spec.router.kafka && { ...spec.router.kafka, brokers: [broker] };
  const given = { ...spec, registry, router: { ...spec.router, ...(kafka && { kafka }) } };
  const problems = fleetProblems(given, known).filter((one) => one.severity === "error");
  return [
    configured.kind === "faults" ? configured.faults.map(describeFault) : [],
    parsed.kind === "faults" ? parsed.faults.map(describeFault) : [],
    problems.map(({ path, message }) => `${path}: ${message}`),
  ];
}

describe("of a key prefix the parts, a manifest and the operator think alike", () => {
  test.each(["", "push/demo:", "!#$%~é"])("%j is one", (keyPrefix) => {
    expect(verdicts({ keyPrefix, broker: "kafka:9092" })).toEqual([[], [], []]);
  });

  test.each(["a b", " ", "a\t", "a\n", "a\u0000", "{demo}", "a{", "a}"])("%j is none, with the field's path", (keyPrefix) => {
    expect(verdicts({ keyPrefix, broker: "kafka:9092" })).toEqual([
      [expect.stringMatching(/^registry\.keyPrefix: .* without braces or spaces/)],
      [expect.stringMatching(/^spec\.registry\.keyPrefix: .* neither spaces nor braces/)],
      [expect.stringMatching(/^spec\.registry\.keyPrefix: .* a space or a brace in it/)],
    ]);
  });
});

describe("of a broker the parts, a manifest and the operator think alike", () => {
  test.each(["kafka:1", "kafka_1.push.svc.cluster.local.:65535", "127.0.0.1:9092", "[fd00::1]:9092"])("%s is one", (broker) => {
    expect(verdicts({ keyPrefix: "", broker })).toEqual([[], [], []]);
  });

  test.each([
    ...["kafka:65536", "kafka:99999", "kafka:0", "kafka:09092", "kafka:port", "kafka:9092\n", "kafka:9092,b:9092"],
    ...["a b:9092", ":9092", "fd00::1:9092", "[]:9092", "ka/fka:9092"],
  ])("%j is none, with the field's path", (broker) => {
    expect(verdicts({ keyPrefix: "", broker })).toEqual([
      [expect.stringMatching(/^kafka\.brokers\[0\]: .*"host:port" with a port from 1 to 65535/)],
      [expect.stringMatching(/^spec\.router\.kafka\.brokers\[0\]: .* host:port, .*1 to 65535/)],
      [expect.stringMatching(/^spec\.router\.kafka\.brokers: .*"host:port" with a port from 1 to 65535/)],
    ]);
  });
});
