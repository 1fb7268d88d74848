import fc from "fast-check";
import { expect, test } from "vitest";
import { type CapacityFacts, capacity } from "./capacity.js";

const gib = 2 ** 30;
const mib = 2 ** 20;
const none: CapacityFacts = { maxConnections: 650_000, nofile: undefined, memoryLimitBytes: undefined, tls: false };

test.each<[string, Partial<CapacityFacts>, number, string]>([
  ["no other limit known", {}, 650_000, "maxConnections"],
  ["a million files", { nofile: 1_000_000 }, 650_000, "maxConnections"],
  ["files below", { nofile: 100_000 }, 98_976, "nofile"],
  ["a developer's shell", { nofile: 1024 }, 512, "nofile"],
  ["just above the reserve's half", { nofile: 2048 }, 1024, "nofile"],
  ["the document's 16 GiB", { memoryLimitBytes: 16 * gib }, 650_000, "maxConnections"],
  ["16 GiB, no maximum of ours", { maxConnections: 1e9, memoryLimitBytes: 16 * gib }, Math.floor((13 * gib * 0.7) / (14 * 1024)), "memory"],
  ["16 GiB with TLS", { memoryLimitBytes: 16 * gib, tls: true }, Math.floor((13 * gib * 0.7) / (48 * 1024)), "memory"],
  [
    "12 GiB, where the scaling starts",
    { maxConnections: 1e9, memoryLimitBytes: 12 * gib },
    Math.floor((9 * gib * 0.7) / (14 * 1024)),
    "memory",
  ],
  ["4 GiB", { memoryLimitBytes: 4 * gib }, Math.floor((3 * gib * 0.7) / (14 * 1024)), "memory"],
  ["512 MiB", { memoryLimitBytes: 512 * mib }, Math.floor((384 * mib * 0.7) / (14 * 1024)), "memory"],
  ["128 MiB", { memoryLimitBytes: 128 * mib }, Math.floor((32 * mib * 0.7) / (14 * 1024)), "memory"],
  ["64 MiB, less than a process needs", { memoryLimitBytes: 64 * mib }, 0, "memory"],
  ["files and memory, files less", { nofile: 2048, memoryLimitBytes: 4 * gib }, 1024, "nofile"],
  ["equal: the configuration is named", { maxConnections: 1024, nofile: 2048 }, 1024, "maxConnections"],
])("%s", (_name, changes, effectiveMaxConnections, binding) => {
  expect(capacity({ ...none, ...changes })).toEqual({ effectiveMaxConnections, binding });
});

test("is a whole number of at least 0, and never less for more of anything", () => {
  const amount = fc.integer({ min: 0, max: 64 * gib });
  fc.assert(
    fc.property(amount, amount, fc.nat(2_000_000), fc.nat(2_000_000), fc.boolean(), (memory, more, nofile, maxConnections, tls) => {
      const less = capacity({ maxConnections, nofile, memoryLimitBytes: memory, tls }).effectiveMaxConnections;
      const larger = capacity({ maxConnections, nofile: nofile + more, memoryLimitBytes: memory + more, tls }).effectiveMaxConnections;
      expect(Number.isSafeInteger(less) && less >= 0).toBe(true);
      expect(larger).toBeGreaterThanOrEqual(less);
    }),
  );
});
