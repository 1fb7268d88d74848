import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeFault } from "@pushfleet/protocol";
import { Type } from "@sinclair/typebox";
import { describe, expect, test } from "vitest";
import { HostPort, loadConfiguration, maskSecrets, Port, Secret, Strict, validateConfiguration } from "./configuration.js";

const schema = Strict({
  id: Type.String(),
  listen: Strict(
    { host: Type.String({ default: "127.0.0.1" }), port: Port(), extraPorts: Type.Array(Port(), { default: [] }) },
    { default: {} },
  ),
  auth: Type.Optional(Strict({ hs256Secret: Type.Optional(Secret()) })),
  router: Strict({ addresses: Type.Array(HostPort(), { default: ["127.0.0.1:9200"] }) }, { default: {} }),
  limits: Strict({ maxConnections: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 650_000 }) }, { default: {} }),
  store: Type.Optional(
    Type.Union([
      Strict({ kind: Type.Literal("memory"), allowVolatile: Type.Boolean({ default: false }) }),
      Strict({ kind: Type.Literal("redis"), url: Type.String() }),
    ]),
  ),
});

const load = (yaml: string | undefined, environment: Record<string, string> = {}) => {
  let file: string | undefined;
  if (yaml !== undefined) {
    file = join(mkdtempSync(join(tmpdir(), "pushfleet-configuration-")), "part.yaml");
    writeFileSync(file, yaml);
  }
  return loadConfiguration(schema, { file, environmentPrefix: "PUSHFLEET_GATEWAY_", environment });
};
const faults = (yaml: string, environment: Record<string, string> = {}): readonly string[] => {
  const loaded = load(yaml, environment);
  return loaded.kind === "faults" ? loaded.faults.map(describeFault) : [];
};

describe("loadConfiguration", () => {
  test("completes a file with defaults", () => {
    expect(load("id: gw-1\nlisten: { port: 8080 }")).toEqual({
      kind: "configuration",
      value: {
        id: "gw-1",
        listen: { host: "127.0.0.1", port: 8080, extraPorts: [] },
        router: { addresses: ["127.0.0.1:9200"] },
        limits: { maxConnections: 650_000 },
      },
    });
  });

  test("lets the environment win, lists by comma, and works without a file", () => {
    const environment = {
      PUSHFLEET_GATEWAY_ID: "gw-2",
      PUSHFLEET_GATEWAY_LISTEN_PORT: "9000",
      PUSHFLEET_GATEWAY_LISTEN_EXTRA_PORTS: "9001,9002",
      PUSHFLEET_GATEWAY_LIMITS_MAX_CONNECTIONS: "1000",
      PUSHFLEET_GATEWAY_STORE_KIND: "memory",
      PUSHFLEET_GATEWAY_STORE_ALLOW_VOLATILE: "true",
      UNRELATED: "1",
    };
    const loaded = load(undefined, environment);
    expect(loaded).toMatchObject({
      kind: "configuration",
      value: {
        id: "gw-2",
        listen: { port: 9000, extraPorts: [9001, 9002] },
        limits: { maxConnections: 1000 },
        store: { kind: "memory", allowVolatile: true },
      },
    });
  });

  test("reports all faults at once, each with its path and what would be right", () => {
    expect(
      faults("lisen: {}\nlisten: { port: 70000, hots: x }\nlimits: { maxConnections: many }\nrouter: { addresses: [nowhere] }"),
    ).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^id: missing/),
        expect.stringMatching(/^lisen: .*"listen"/),
        expect.stringMatching(/^listen\.port: 70000 .*from 0 to 65535/),
        expect.stringMatching(/^listen\.hots: .*"host"/),
        expect.stringMatching(/^limits\.maxConnections: "many" .*an integer from 1 to 1000000/),
        expect.stringMatching(/^router\.addresses\[0\]: "nowhere" .*"host:port"/),
      ]),
    );
  });

  test("names the fault in the alternative that was meant, not in all of them", () => {
    const found = faults("id: a\nlisten: { port: 1 }\nstore: { kind: redis, ulr: x }");
    expect(found).toEqual(
      expect.arrayContaining([expect.stringMatching(/^store\.url: missing/), expect.stringMatching(/^store\.ulr: .*"url"/)]),
    );
    expect(found.join("\n")).not.toMatch(/memory|allowVolatile|anyOf/);
    expect(faults("id: a\nlisten: { port: 1 }\nstore: { kind: postgres }")).toEqual([
      expect.stringMatching(/^store\.kind: "postgres" .*"memory".*"redis"/),
    ]);
  });

  test("an environment name that is no setting is a fault", () => {
    expect(faults("id: a\nlisten: { port: 1 }", { PUSHFLEET_GATEWAY_LISTEN_PROT: "1" })).toEqual([
      expect.stringMatching(/^PUSHFLEET_GATEWAY_LISTEN_PROT/),
    ]);
  });

  test.each([
    ["a file that is not there", undefined],
    ["a file that is not YAML", "id: [unclosed"],
    ["a file that is a list", "- 1"],
  ])("%s is a fault, not a throw", (_, yaml) => {
    const loaded =
      yaml === undefined ? loadConfiguration(schema, { file: "/nowhere.yaml", environmentPrefix: "X_", environment: {} }) : load(yaml);
    expect(loaded.kind).toBe("faults");
  });

  test("a secret is shown neither in a fault nor in print", () => {
    expect(faults("id: a\nlisten: { port: 1 }\nauth: { hs256Secret: '' }").join()).not.toMatch(/'',/);
    const masked = maskSecrets(schema, {
      id: "a",
      auth: { hs256Secret: "hunter2" },
      store: { kind: "redis", url: "redis://u:hunter2@h:1" },
    });
    expect(JSON.stringify(masked)).not.toContain("hunter2");
  });
});

describe("refinements", () => {
  const beats = Strict({ interval: Type.Integer(), timeout: Type.Integer(), other: Type.Optional(Type.Integer()) });
  const refinement = (path: string) => ({
    path,
    faults: (value: { interval: number; timeout: number }) =>
      value.timeout > value.interval ? [] : [{ path: "timeout", value: value.timeout, expected: "more than interval" }],
  });
  const described = (value: unknown, path: string) => {
    const validated = validateConfiguration(beats, value, [refinement(path)]);
    return validated.kind === "faults" ? validated.faults.map(describeFault) : [];
  };

  test("stand in the same list as what the schema finds elsewhere", () => {
    expect(described({ interval: 5, timeout: 5, other: "x" }, "timeout")).toEqual([
      'other: "x" is not right, expected an integer',
      "timeout: 5 is not right, expected more than interval",
    ]);
  });

  test("are not asked about what has the wrong shape already", () => {
    expect(described({ interval: 5, timeout: "x" }, "timeout")).toEqual(['timeout: "x" is not right, expected an integer']);
    expect(described({ interval: 5, timeout: 5, other: "x" }, "")).toHaveLength(1);
  });
});

test("a YAML alias does not carry the defaults of one place to the other", () => {
  const aliased = "a: &here { host: h }\nb: *here";
  const file = join(mkdtempSync(join(tmpdir(), "pushfleet-configuration-")), "part.yaml");
  writeFileSync(file, aliased);
  const two = Strict({
    a: Strict({ host: Type.String(), port: Type.Integer({ default: 1 }) }),
    b: Strict({ host: Type.String(), path: Type.String({ default: "/" }) }),
  });
  expect(loadConfiguration(two, { file, environmentPrefix: "X_", environment: {} })).toEqual({
    kind: "configuration",
    value: { a: { host: "h", port: 1 }, b: { host: "h", path: "/" } },
  });
});
