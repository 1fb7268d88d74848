import { join } from "node:path";
import { expect, test } from "vitest";
import { planSuite } from "./peer.js";
import { observePeer, type PeerState } from "./peer-state.mjs";
import { startProcess } from "./process.js";

const STARTABLE: PeerState = { kind: "startable", program: "/usr/bin/redis-server", detail: "" };
const MISSING: PeerState = { kind: "missing", reason: "no haproxy: run this", packages: ["haproxy"] };
const NOTHING_HERE = { PATH: "/nonexistent", PUSHFLEET_CACHE: "/nonexistent" };

test("a suite whose peers are all there runs", () => {
  const given: PeerState = { kind: "given", variable: "PUSHFLEET_TEST_KAFKA_BROKERS", value: "127.0.0.1:9092" };
  const peers = [
    ["redis-server", STARTABLE],
    ["kafka", given],
  ] as const;
  expect(planSuite(peers, false)).toEqual({ kind: "run" });
  expect(planSuite(peers, true)).toEqual({ kind: "run" });
});

test("a suite with a missing peer is skipped with the reason, and fails under CI", () => {
  const peers = [
    ["redis-server", STARTABLE],
    ["haproxy", MISSING],
  ] as const;
  expect(planSuite(peers, false)).toEqual({ kind: "skip", reason: "haproxy: no haproxy: run this" });
  expect(planSuite(peers, true)).toEqual({ kind: "fail", reason: "haproxy: no haproxy: run this" });
});

test("a server named by the environment is used where one may be shared, not where it must be our own", () => {
  const environment = {
    ...NOTHING_HERE,
    PUSHFLEET_TEST_REDIS_URL: "redis://127.0.0.1:6390",
    PUSHFLEET_TEST_KAFKA_BROKERS: "127.0.0.1:9092",
  };
  expect(observePeer("redis", environment)).toMatchObject({ kind: "given", value: "redis://127.0.0.1:6390" });
  expect(observePeer("kafka", environment)).toMatchObject({ kind: "given", value: "127.0.0.1:9092" });
  expect(observePeer("kafka-server", environment).kind).toBe("missing");
});

test("a missing peer's reason has the commands that would provide it", () => {
  const kafka = observePeer("kafka-server", NOTHING_HERE);
  expect(kafka).toMatchObject({ kind: "missing", reason: expect.stringContaining("run node test/peers/provide.mjs") });
});

test("a given haproxy that is no program is missing, by its variable's name", () => {
  const haproxy = observePeer("haproxy", { PUSHFLEET_TEST_HAPROXY: "/nonexistent/haproxy" });
  expect(haproxy).toMatchObject({ kind: "missing", reason: "PUSHFLEET_TEST_HAPROXY=/nonexistent/haproxy is not an executable file" });
});

test("vitest reports a suite without its peer as skipped, by name and with the reason", async () => {
  const run = await runFixtureWithoutHaproxy({ CI: undefined });
  expect(run.code).toBe(0);
  expect(run.output).toMatch(
    /↓ .*a suite that needs haproxy \[haproxy: PUSHFLEET_TEST_HAPROXY=\/nonexistent is not .*\] > runs only with it/,
  );
});

test("vitest fails a suite without its peer under CI", async () => {
  const run = await runFixtureWithoutHaproxy({ CI: "true" });
  expect(run.code).toBe(1);
  expect(run.output).toContain("haproxy: PUSHFLEET_TEST_HAPROXY=/nonexistent is not an executable file");
});

async function runFixtureWithoutHaproxy(env: {
  readonly CI: string | undefined;
}): Promise<{ readonly code: number | null; readonly output: string }> {
  const config = join(import.meta.dirname, "fixtures/vitest.config.ts");
  const runner = await startProcess({
    name: "vitest",
    command: process.execPath,
    args: ["node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", "--config", config, "needs-haproxy"],
    cwd: join(import.meta.dirname, "../.."),
    env: { ...env, NO_COLOR: "1", FORCE_COLOR: undefined, PUSHFLEET_TEST_HAPROXY: "/nonexistent" },
  });
  const { code } = await runner.exited;
  return { code, output: runner.lines().join("\n") };
}
