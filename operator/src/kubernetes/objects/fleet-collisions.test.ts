import { describe, expect, test } from "vitest";
import { completeSpec, smallestSpec } from "../../../../test/support/example-fleet.js";
import { fleetCollisions, type PlacedFleet } from "./fleet-collisions.js";

const fleet = (name: string, at: number, spec: object, namespace = "push"): PlacedFleet => ({
  ...{ namespace, name, uid: `uid-${name}`, createdAt: new Date(at * 1000).toISOString() },
  spec: completeSpec({ ...smallestSpec, ...spec }),
});
const redis = (url: string, keyPrefix?: string) => ({
  registry: { kind: "Redis", url, ...(keyPrefix === undefined ? {} : { keyPrefix }) },
});
const kafka = (brokers: readonly string[], groupId?: string, topic = "notifications") => ({
  router: { minReplicas: 1, maxReplicas: 1, kafka: { brokers, topic, ...(groupId === undefined ? {} : { groupId }) } },
});
const said = (one: PlacedFleet, ...others: readonly PlacedFleet[]) =>
  fleetCollisions(one, [one, ...others]).map(({ field, value, other }) => `${field} ${value} of ${other.namespace}/${other.name}`);

test("fleets that say nothing share a Redis and a Kafka, each with its own keys and its own group", () => {
  const spec = { ...redis("redis://redis.data:6379"), ...kafka(["kafka.data:9092"]) };
  const [one, other] = [fleet("one", 1, spec), fleet("other", 2, spec)];
  expect([said(one, other), said(other, one)]).toEqual([[], []]);
});

describe("of two that collide by hand", () => {
  test("the younger one is told, each field by itself, and the older one is not", () => {
    const spec = { ...redis("redis://redis.data:6379", "shared:"), ...kafka(["kafka.data:9092"], "group") };
    const [older, younger] = [fleet("older", 1, spec, "a"), fleet("younger", 2, spec, "b")];
    expect(said(older, younger)).toEqual([]);
    expect(said(younger, older)).toEqual(["registry.keyPrefix shared: of a/older", "router.kafka.groupId group of a/older"]);
  });

  test("made in the same second, the one with the higher uid", () => {
    const spec = redis("redis://redis:6379", "");
    const [one, other] = [fleet("one", 1, spec), fleet("two", 1, spec)];
    expect([said(one, other), said(other, one)]).toEqual([[], ["registry.keyPrefix  of push/one"]]);
  });

  test("the one that wrote the other's default is told, also when it is older", () => {
    const thief = fleet("thief", 1, {
      ...redis("redis://redis:6379", "push/victim:"),
      ...kafka(["kafka:9092"], "pushfleet-router.push.victim"),
    });
    const victim = fleet("victim", 2, { ...redis("redis://redis:6379"), ...kafka(["kafka:9092"]) });
    expect(said(victim, thief)).toEqual([]);
    expect(said(thief, victim)).toHaveLength(2);
  });
});

test.each<[string, string, string, boolean]>([
  ["the port of Redis and database 0", "redis://redis.data", "redis://redis.data:6379/0", true],
  ["another who logs in", "redis://redis.data", "redis://me:secret@redis.data", true],
  ["another spelling of the host", "redis://Redis.Data.", "redis://redis.data", true],
  ["a Service's full name", "redis://redis.data.svc.cluster.local", "redis://redis.data.svc", true],
  ["TLS or not", "rediss://redis.data", "redis://redis.data", true],
  ["an address", "redis://[fd00::1]:6379", "redis://[FD00::1]", true],
  ["another database", "redis://redis.data/1", "redis://redis.data", false],
  ["another port", "redis://redis.data:6380", "redis://redis.data", false],
  ["a Service of each one's namespace", "redis://redis", "redis://redis", false],
  ["a Service of the other's namespace", "redis://redis.a", "redis://redis", true],
  ["no address", "redis://redis:99999", "redis://redis:99999", false],
])("one Redis or two: %s (%s, %s)", (_what, one, other, isOne) => {
  const older = fleet("older", 1, redis(other, "shared:"), "a");
  expect(said(fleet("younger", 2, redis(one, "shared:"), "b"), older)).toHaveLength(isOne ? 1 : 0);
});

test.each<[string, readonly string[], readonly string[], boolean]>([
  ["one broker in common", ["kafka-0.data:9092", "kafka-1.data:9092"], ["kafka-2.data:9092", "kafka-1.data:9092"], true],
  ["none", ["kafka-0.data:9092"], ["kafka-1.data:9092"], false],
  ["an address in brackets", ["[fd00::1]:9092"], ["[fd00::1]:9092"], true],
])("one Kafka or two: %s", (_what, one, other, isOne) => {
  const older = fleet("older", 1, kafka(other, "group", "other"), "a");
  expect(said(fleet("younger", 2, kafka(one, "group"), "b"), older)).toHaveLength(isOne ? 1 : 0);
});
