import { describe, expect, test } from "vitest";
import { parseManifest } from "./parse-manifest.js";

const head = "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo }\n";

/** "path: value, expected" of each fault; none for a right manifest. */
function verdict(text: string): readonly string[] {
  const parsed = parseManifest(text);
  return parsed.kind === "manifest" ? [] : parsed.faults.map((fault) => `${fault.path}: ${JSON.stringify(fault.value)}, ${fault.expected}`);
}

function specOf(text: string) {
  const parsed = parseManifest(text);
  if (parsed.kind !== "manifest") throw new Error(verdict(text).join("\n"));
  return parsed.manifest.spec;
}

describe("a manifest means what it means to kubectl", () => {
  test("a field with nothing behind it is not there, and gets its default", () => {
    const spec = specOf(`${head}spec:\n  gateway:\n  autoscaling: { mode: }\n  registry:\n  dryRun: ~\n`);
    expect(spec).toMatchObject({ gateway: { heartbeat: { intervalSeconds: 30 } }, autoscaling: { mode: "Builtin" }, dryRun: false });
    expect(spec).not.toHaveProperty("registry");
  });

  test("a spec with nothing behind it is missing, and so is one that is not there", () => {
    expect(verdict(`${head}spec:\n`)).toEqual(["spec: undefined, a value: it is required"]);
    expect(verdict(head)).toEqual(["spec: undefined, a value: it is required"]);
  });

  test.each([
    ["yes", true],
    ["Off", false],
    ["true", true],
  ])("rollout.paused: %s is a boolean", (written, expected) => {
    expect(specOf(`${head}spec: { rollout: { paused: ${written} } }`).rollout.paused).toBe(expected);
  });

  test.each([
    ["2_500", 2500],
    ["010", 8],
    ["0x10", 16],
    ["1e3", 1000],
    ["5.0", 5],
  ])("drain.reconnectsPerSecond: %s is a number", (written, expected) => {
    expect(specOf(`${head}spec: { drain: { reconnectsPerSecond: ${written} } }`).drain.reconnectsPerSecond).toBe(expected);
  });

  test("an anchor is merged; aliases that multiply are refused", () => {
    const merged = `${head}spec: { pools: [&a { name: a, softConnections: 7 }, { <<: *a, name: b }] }`;
    expect(specOf(merged).pools.map((pool) => pool.softConnections)).toEqual([7, 7]);
    const bomb = Array.from(
      { length: 12 },
      (_, n) =>
        `x${n}: &x${n} [${
          n === 0
            ? "1"
            : Array(12)
                .fill(`*x${n - 1}`)
                .join(",")
        }]`,
    );
    expect(verdict(bomb.join("\n")).join()).toContain("aliases");
  });

  test("what is written in status is not looked at", () => {
    expect(verdict(`${head}spec: {}\nstatus: { replicas: none }`)).toEqual([]);
  });
});

test.each([
  ["kind: PushGateway\nmetadata: { name: demo }\nspec: {}", ['apiVersion: undefined, "pushfleet.dev/v1alpha1"']],
  [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: demo }\nspec: {}",
    ['apiVersion: "v1", "pushfleet.dev/v1alpha1"', 'kind: "Pod", "PushGateway"'],
  ],
])("what is no PushGateway is told so", (text, expected) => {
  expect(verdict(text)).toEqual(expected);
});

describe("refused with its path, what stood there and what would be right", () => {
  test.each<readonly [string, string, readonly string[]]>([
    [
      "a namespace that is no DNS label",
      "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo, namespace: My_Team }\nspec: {}",
      ['metadata.namespace: "My_Team", a DNS label: 1 to 63 of [a-z0-9-], beginning and ending with a letter or digit'],
    ],
    [
      "a name of 29 characters",
      `apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: ${"n".repeat(29)} }\nspec: {}`,
      [`metadata.name: "${"n".repeat(29)}", a string of 1 to 28 characters`],
    ],
    [
      "a label that is no text, and a misspelt field of metadata",
      "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo, labels: { live: true }, lables: {} }\nspec: {}",
      [
        'metadata.lables: "", "labels" (there is no field "lables")',
        "metadata.labels.live: true, a string (in quotes, if it looks like a number or a boolean)",
      ],
    ],
    [
      "two pools of one name",
      `${head}spec: { pools: [{ name: a }, { name: b }, { name: a }] }`,
      ['spec.pools[2]: "a", no duplicate: spec.pools[0] has this name'],
    ],
    [
      "a rule of an element, with the value it breaks",
      `${head}spec: { pools: [{ name: a, softConnections: 900, hardConnections: 800 }] }`,
      [
        expect.stringMatching(
          /^spec\.pools\[0\]\.softConnections: 900, to keep the rule: softConnections .* must be at most hardConnections/,
        ),
      ] as never,
    ],
    [
      "a rule beside a value out of bounds",
      `${head}spec: { drain: { deadlineSeconds: 1 }, gateway: { heartbeat: { intervalSeconds: 90 } } }`,
      [
        "spec.drain.deadlineSeconds: 1, an integer from 10 to 86400",
        expect.stringMatching(/^spec\.gateway\.heartbeat\.timeoutSeconds: 90, to keep the rule: heartbeat\.timeoutSeconds must be above/),
      ] as never,
    ],
    [
      "a wrong type, beside which rules are not evaluated",
      `${head}spec: { dryRun: maybe, gateway: { heartbeat: { intervalSeconds: 90 } } }`,
      ['spec.dryRun: "maybe", true or false'],
    ],
    [
      "an address with a password, which is not repeated",
      `${head}spec: { registry: { kind: Redis, url: "http://user:hunter2@redis" } }`,
      [
        expect.stringMatching(/^spec\.registry\.url: "http:\/\/\(secret\)@redis", to keep the rule: an address of a Redis must be/),
      ] as never,
    ],
  ])("%s", (_what, text, expected) => {
    expect(verdict(text)).toEqual(expected);
  });
});
