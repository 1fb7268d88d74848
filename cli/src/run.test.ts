import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { run } from "./run.js";

async function cli(...argv: readonly string[]) {
  const seen = { out: "", error: "" };
  const io = {
    out: (text: string) => {
      seen.out += text;
    },
    error: (text: string) => {
      seen.error += text;
    },
    signal: new AbortController().signal,
  };
  const code = await run(argv, io);
  return { code, ...seen };
}

function manifestFile(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), "pushfleet-cli-")), "fleet.yaml");
  writeFileSync(file, text);
  return file;
}

const head = "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo }\n";

test.each(["local", "listen", "token", "validate", "storm"])(
  "%s has --help, --version and -o json, and says what its exit codes mean",
  async (command) => {
    const help = await cli(command, "--help");
    expect(help).toMatchObject({ code: 0, error: "" });
    for (const part of [`pushfleet ${command} `, "-o, --output <format>", "Exit: 0 done"]) expect(help.out).toContain(part);
    expect(await cli(command, "--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(await cli(command, "--no-such-option")).toMatchObject({ code: 2, out: "" });
  },
);

test("help and version end with 0, an unknown command and a missing option with 2", async () => {
  expect(await cli("--help")).toMatchObject({ code: 0, out: expect.stringContaining("listen") });
  expect(await cli("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  expect((await cli("nonsense")).code).toBe(2);
  expect((await cli("validate")).code).toBe(2);
});

describe("token", () => {
  test("prints one that its secret verifies, for the user, of the length asked for", async () => {
    const { code, out } = await cli("token", "usr_42", "--device", "d1", "--ttl", "60", "--jwt-secret", "s3cret");
    expect(code).toBe(0);
    const { payload } = await jwtVerify(out.trim(), new TextEncoder().encode("s3cret"), { algorithms: ["HS256"] });
    expect(payload).toMatchObject({ sub: "usr_42", device: "d1" });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
  });

  test("as JSON holds the same token", async () => {
    const { out } = await cli("token", "usr_42", "-o", "json");
    const printed = JSON.parse(out) as { token: string; user: string };
    expect(decodeJwt(printed.token).sub).toBe(printed.user);
  });

  test("takes the secret from a file, and says when it has none", async () => {
    const { out } = await cli("token", "usr_42", "--jwt-secret-file", manifestFile("from-a-file\n"));
    await expect(jwtVerify(out.trim(), new TextEncoder().encode("from-a-file"))).resolves.toBeDefined();
    expect(await cli("token", "usr_42", "--jwt-secret", "")).toMatchObject({
      code: 2,
      out: "",
      error: expect.stringContaining("--jwt-secret:"),
    });
    expect(await cli("token", "usr_42", "--jwt-secret-file", manifestFile(" "))).toMatchObject({ code: 2, out: "" });
  });

  test("names every fault and prints none", async () => {
    const { code, out, error } = await cli("token", "not an id", "--ttl", "soon", "--device", "a b");
    expect([code, out]).toEqual([2, ""]);
    expect(error).toMatch(/USER:.*\n.*--device:.*\n.*--ttl:/);
  });
});

describe("validate", () => {
  test.each([
    ["pushgateway", "right\n"],
    ["storm", "right\n"],
    ["kubernetes", "right: 1 PushGateway checked, 2 objects of other kinds passed over\n"],
  ])("finds the example %s right", async (name, verdict) => {
    const file = new URL(`../../examples/${name}.yaml`, import.meta.url).pathname;
    expect(await cli("validate", "-f", file)).toMatchObject({ code: 0, out: `${file}: ${verdict}`, error: "" });
  });

  const other = "apiVersion: v1\nkind: Namespace\nmetadata: { name: demo }\n";
  const named = (name: string, spec: string) => `${head.replace("demo", name)}spec: ${spec}\n`;

  test("checks every PushGateway of a file, says in which document a fault is, and passes over other kinds and empty documents", async () => {
    const file = manifestFile(
      ["", other, named("a", "{}"), "# nothing\n", named("b", "{ drian: {} }"), named("c", "{ dryRun: maybe }")].join("---\n"),
    );
    const { code, out, error } = await cli("validate", "-f", file);
    expect([code, out]).toEqual([2, ""]);
    expect(error).toMatch(/: document 4: spec\.drian: .*"drain".*\n.*: document 5: spec\.dryRun: "maybe" .*\n$/);
    expect(error.trim().split("\n"), error).toHaveLength(2);
    const asJson = JSON.parse((await cli("validate", "-o", "json", "-f", file)).out);
    expect(asJson).toMatchObject({ valid: false, checked: 3, passedOver: 1 });
    expect(asJson.faults).toMatchObject([
      { document: 4, path: "spec.drian" },
      { document: 5, path: "spec.dryRun", value: "maybe" },
    ]);
  });

  test("counts what it checked, also as JSON", async () => {
    const file = manifestFile([named("a", "{}"), named("b", "{}"), other].join("---\n"));
    expect((await cli("validate", "-f", file)).out).toBe(`${file}: right: 2 PushGateways checked, 1 object of another kind passed over\n`);
    const { code, out } = await cli("validate", "-o", "json", "-f", file);
    expect([code, JSON.parse(out)]).toEqual([0, { valid: true, faults: [], checked: 2, passedOver: 1 }]);
  });

  test.each<readonly [string, string, RegExp]>([
    ["a misspelt field", `${head}spec: { drian: {} }`, /spec\.drian: .*"drain"/],
    [
      "a misspelt field of a pool",
      `${head}spec: { pools: [{ name: a, minReplicaz: 1 }] }`,
      /spec\.pools\[0\]\.minReplicaz: .*"minReplicas"/,
    ],
    [
      "a value out of bounds",
      `${head}spec: { pools: [{ name: a, maxReplicas: -1 }] }`,
      /spec\.pools\[0\]\.maxReplicas: -1 .*an integer from 1/,
    ],
    ["another kind", "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n", /apiVersion: "v1".*\n.*kind: "Pod"/],
    ["no name", "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\n", /metadata\.name: missing/],
    ["an empty file", "", /the file is empty/],
    ["two documents without a PushGateway", `${"a: 1\nkind: A\n"}---\nkind: B\n`, /"2 documents" .*a PushGateway among them/],
    ["a misspelt kind among others", `kind: A\n---\n${head.replace("Gateway", "Gatway")}spec: {}\n`, /document 2: kind: "PushGatway"/],
    ["a document that is no object", `${head}spec: {}\n---\nrest\n`, /document 2: .*"rest" .*a mapping/],
    ["YAML that breaks off in one of two documents", `${head}spec: {}\n---\na: [`, /expected YAML/],
    ["what is not YAML", "a: [", /expected YAML/],
  ])("%s is told with its path and ends with 2", async (_, text, expected) => {
    const { code, out, error } = await cli("validate", "-f", manifestFile(text));
    expect([code, out]).toEqual([2, ""]);
    expect(error).toMatch(expected);
  });

  test("as JSON lists the faults; a file that is not there is told", async () => {
    const { code, out } = await cli("validate", "-o", "json", "-f", manifestFile(`${head}spec: { drian: {} }`));
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ valid: false, faults: [{ path: "spec.drian" }] });
    expect(await cli("validate", "-f", "/nowhere.yaml")).toMatchObject({ code: 2, error: expect.stringContaining("cannot be read") });
    const unreadable = await cli("validate", "-o", "json", "-f", "/nowhere.yaml");
    expect([unreadable.code, unreadable.error]).toEqual([2, ""]);
    expect(JSON.parse(unreadable.out)).toMatchObject({ valid: false, faults: [{ value: "/nowhere.yaml" }] });
  });
});

describe("local", () => {
  test.each<readonly [string, string, RegExp]>([
    [
      "a store that is not in memory",
      "{ store: { kind: Redis, url: 'redis://r:6379' } }",
      /spec\.store\.kind: "Redis" .*Memory, or no store/,
    ],
    [
      "Kafka beside a store that may lose what is committed",
      "{ router: { kafka: { brokers: ['k:9092'] } } }",
      /spec\.store\.allowVolatile: missing, expected true beside router\.kafka/,
    ],
    ["a manifest that the API server refuses", "{ dryRun: maybe }", /spec\.dryRun: "maybe"/],
  ])("%s is told, and nothing is started", async (_, spec, expected) => {
    const { code, out, error } = await cli("local", "-f", manifestFile(`${head}spec: ${spec}`));
    expect([code, out]).toEqual([2, ""]);
    expect(error).toMatch(expected);
  });

  test("faults as JSON are a line on standard output", async () => {
    const { code, out, error } = await cli("local", "-o", "json", "-f", manifestFile(`${head}spec: { dryRun: maybe }`));
    expect([code, error]).toEqual([2, ""]);
    expect(JSON.parse(out)).toMatchObject({ kind: "refused", faults: [{ path: "spec.dryRun", value: "maybe" }] });
  });

  test("an empty secret and a secret file that is not there end with 2", async () => {
    const file = manifestFile(`${head}spec: {}`);
    expect(await cli("local", "-f", file, "--jwt-secret", "")).toMatchObject({ code: 2, error: expect.stringContaining("--jwt-secret:") });
    expect(await cli("local", "-f", file, "--jwt-secret-file", "/nowhere")).toMatchObject({
      code: 2,
      error: expect.stringContaining("--jwt-secret-file: /nowhere"),
    });
  });
});
