import { describeFault } from "@pushfleet/protocol";
import { routerSchema } from "@pushfleet/router";
import { validateConfiguration } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { fleetProblems } from "../operator/src/kubernetes/objects/index.js";
import { parseManifest } from "../operator/src/manifest/index.js";
import { completeSpec, smallestSpec } from "./support/example-fleet.js";

const url = "redis://redis";

/** What each judge says of a key prefix, a broker and a topic: the parts' own configuration, a manifest (the API server's verdict, see
 *  crd-on-api-server.test.ts), and the operator for what an older API took. */
function verdicts({
  keyPrefix = "",
  broker = "kafka:9092",
  topic = "notifications",
}: Partial<Readonly<Record<"keyPrefix" | "broker" | "topic", string>>>): readonly (readonly string[])[] {
  const configured = validateConfiguration(routerSchema, {
    registry: { kind: "redis", url, keyPrefix },
    kafka: { brokers: [broker], topic },
    store: { kind: "memory", allowVolatile: true },
  });
  const registry = { kind: "Redis", url, keyPrefix } as const;
  const router = (kafka: object) => ({ minReplicas: 1, maxReplicas: 1, kafka });
  const head = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" } };
  const parsed = parseManifest(JSON.stringify({ ...head, spec: { registry, router: router({ brokers: [broker], topic }) } }));
  const known = { name: "demo", otherFleets: [], collisions: [], secrets: new Map([["jwt", { key: 32 }]]) };
  const spec = completeSpec({ ...smallestSpec, registry: { kind: "Redis", url }, router: router({ brokers: ["kafka:9092"] }) });
  const kafka = spec.router.kafka && { ...spec.router.kafka, brokers: [broker], topic };
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
    expect(verdicts({ keyPrefix })).toEqual([[], [], []]);
  });

  test.each(["a b", " ", "a\t", "a\n", "a\u0000", "{demo}", "a{", "a}"])("%j is none, with the field's path", (keyPrefix) => {
    expect(verdicts({ keyPrefix })).toEqual([
      [expect.stringMatching(/^registry\.keyPrefix: .* without braces or spaces/)],
      [expect.stringMatching(/^spec\.registry\.keyPrefix: .* neither spaces nor braces/)],
      [expect.stringMatching(/^spec\.registry\.keyPrefix: .* a space or a brace in it/)],
    ]);
  });
});

describe("of a broker the parts, a manifest and the operator think alike", () => {
  test.each(["kafka:1", "kafka_1.push.svc.cluster.local.:65535", "127.0.0.1:9092", "[fd00::1]:9092"])("%s is one", (broker) => {
    expect(verdicts({ broker })).toEqual([[], [], []]);
  });

  test.each([
    ...["kafka:65536", "kafka:99999", "kafka:0", "kafka:09092", "kafka:port", "kafka:9092\n", "kafka:9092,b:9092"],
    ...["a b:9092", ":9092", "fd00::1:9092", "[]:9092", "ka/fka:9092"],
  ])("%j is none, with the field's path", (broker) => {
    expect(verdicts({ broker })).toEqual([
      [expect.stringMatching(/^kafka\.brokers\[0\]: .*"host:port" with a port from 1 to 65535/)],
      [expect.stringMatching(/^spec\.router\.kafka\.brokers\[0\]: .* host:port, .*1 to 65535/)],
      [expect.stringMatching(/^spec\.router\.kafka\.brokers: .*"host:port" with a port from 1 to 65535/)],
    ]);
  });
});

describe("of a topic the parts, a manifest and the operator think alike", () => {
  test.each(["a", "...", ".a", "Push_1-in.app", "a".repeat(249)])("%s is one", (topic) => {
    expect(verdicts({ topic })).toEqual([[], [], []]);
  });

  test.each([".", "..", "", "a b", "a/b", "ä", "a\n", "a".repeat(250)])("%j is none, with the field's path", (topic) => {
    expect(verdicts({ topic })).toEqual([
      [expect.stringMatching(/^kafka\.topic: .*a Kafka topic name/s)],
      [
        expect.stringMatching(/^spec\.router\.kafka\.topic: /),
        ...(topic === "" ? [expect.stringMatching(/^spec\.router\.kafka\.topic: /)] : []),
      ],
      [expect.stringMatching(/^spec\.router\.kafka\.topic: .*is not a Kafka topic name/s)],
    ]);
  });
});
