import { ManualClock, validateConfiguration } from "@pushfleet/service";
import { Type } from "@sinclair/typebox";
import { expect, test } from "vitest";
import { createRegistry, registrySchema } from "./configuration.js";

const validate = (registry: unknown) => validateConfiguration(Type.Object({ registry: registrySchema }), { registry });

test("a Redis registry needs its address; the prefix is empty by default", () => {
  expect(validate({ kind: "redis", url: "redis://127.0.0.1:6379" })).toEqual({
    kind: "configuration",
    value: { registry: { kind: "redis", url: "redis://127.0.0.1:6379", keyPrefix: "" } },
  });
  expect(validate({ kind: "memory" }).kind).toBe("configuration");
});

test.each([
  [{ kind: "redis" }, "registry.url"],
  [{ kind: "redis", url: "http://127.0.0.1" }, "registry.url"],
  [{ kind: "redis", url: "redis://h", keyPrefix: "a{b}" }, "registry.keyPrefix"],
  [{ kind: "memory", url: "redis://h" }, "registry.url"],
  [{ kind: "cassandra" }, "registry.kind"],
])("%j is a fault at %s", (config, path) => {
  const result = validate(config);
  expect(result.kind === "faults" && result.faults.map((fault) => fault.path)).toEqual([path]);
});

test("braces in a prefix are a bug by then", () => {
  expect(() => createRegistry({ kind: "redis", url: "redis://127.0.0.1:1", keyPrefix: "{a}" }, { clock: new ManualClock() })).toThrow(
    "braces",
  );
});
