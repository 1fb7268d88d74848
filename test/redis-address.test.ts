import { describeFault } from "@pushfleet/protocol";
import { registrySchema } from "@pushfleet/registry";
import { validateConfiguration } from "@pushfleet/service";
import { Type } from "@sinclair/typebox";
import { expect, test } from "vitest";
import { fleetProblems } from "../operator/src/kubernetes/objects/index.js";
import { parseManifest } from "../operator/src/manifest/index.js";
import { completeSpec, smallestSpec } from "./support/example-fleet.js";

/** What each judge says of an address: the parts' own configuration, a manifest (the API server's verdict, see crd-on-api-server.test.ts), and the
 *  operator for what an older API took. */
function verdicts(url: string): readonly (readonly string[])[] {
  const configured = validateConfiguration(Type.Object({ registry: registrySchema }), { registry: { kind: "redis", url } });
  const manifest = {
    ...{ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" } },
    spec: { registry: { kind: "Redis", url }, store: { kind: "Redis", url } },
  };
  const parsed = parseManifest(JSON.stringify(manifest));
  const known = { name: "demo", otherFleets: [], collisions: [], secrets: new Map([["jwt", { key: 32 }]]) };
  const spec = completeSpec({ ...smallestSpec, registry: { kind: "Redis", url: "redis://redis" } });
  const problems = fleetProblems({ ...spec, registry: { kind: "Redis", url } }, known).filter((one) => one.severity === "error");
  return [
    configured.kind === "faults" ? configured.faults.map(describeFault) : [],
    parsed.kind === "faults" ? parsed.faults.map(describeFault) : [],
    problems.map(({ path, message }) => `${path}: ${message}`),
  ];
}

test.each([
  "redis://redis",
  "redis://redis:6379",
  "rediss://redis.push.svc.cluster.local.:65535/15",
  "redis://:secret@redis",
  "redis://me:p%40ss@127.0.0.1:1/0",
  "redis://me:p@ss@redis_1",
  "redis://[fd00::1]:6379/",
  "redis://redis?family=6",
])("%s is an address of a Redis", (url) => {
  expect(verdicts(url)).toEqual([[], [], []]);
});

test.each([
  "redis://redis:65536",
  "redis://redis:99999/0",
  "redis://redis:0",
  "redis://redis:",
  "redis://redis:port",
  "redis://redis:123456",
  "redis://:6379",
  "redis://",
  "redis:// redis",
  "redis://redis/first",
  "redis://redis/0/1",
  "redis://redis/0#",
  "redis://me@",
  "redis://fd00::1",
  "redis://redis\t",
  "redis://redis:6379\n",
])("%j is none, and every judge says so with the field's path", (url) => {
  const [configured, manifest, problems] = verdicts(url);
  expect(configured).toEqual([
    expect.stringMatching(/^registry\.url: .* expected redis:\/\/\[user:password@\]host\[:port\]\[\/database\], .*1 to 65535/),
  ]);
  expect(manifest).toEqual([
    expect.stringMatching(/^spec\.registry\.url: .*redis:\/\/\[user:password@\]host\[:port\]\[\/database\], .*1 to 65535/),
    expect.stringMatching(/^spec\.store\.url: .*redis:\/\/\[user:password@\]host\[:port\]\[\/database\], .*1 to 65535/),
  ]);
  expect(problems).toEqual([expect.stringMatching(/^spec\.registry\.url: registry\.url is no address of a Redis: write .*1 to 65535/)]);
});
