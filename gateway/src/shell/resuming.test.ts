import { limits, type UserId } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import type { ExampleClient } from "../example-gateway.test-suite.js";
import { example, start } from "../started-gateway.test-suite.js";

const totals = (): readonly unknown[] => {
  const { resumeAttempts, resumeFailures } = example.gateway.status();
  return [resumeAttempts, resumeFailures];
};
/** What a client that was connected presents, as the end of a query. */
const resumeOf = async (client: ExampleClient): Promise<string> =>
  `&resume=${encodeURIComponent((await client.frame("hello"))["resume"] as string)}`;
const presenting = (resume: string, claims: Readonly<Record<string, unknown>> = {}): ExampleClient =>
  example.open(`?token=${example.token(claims)}&device=phone${resume}`);

describe("of the handshakes that present a valid resume a gateway counts", () => {
  test("those that lead to hello as attempts, and no other", async () => {
    await start();
    const resume = await resumeOf(await example.connect());
    await presenting(resume).frame("hello");
    await presenting("&resume=made-up", { sub: "usr_1" }).frame("hello");
    expect(totals()).toEqual([1, 0]);
    expect(await example.metric("pushfleet_gateway_resume_attempts_total")).toBe("1");
    expect(await example.metric("pushfleet_gateway_resume_failures_total")).toBe("0");
  });

  test.each<readonly [string, (resume: string) => ExampleClient]>([
    ["a token that is not accepted", (resume) => presenting(resume, { exp: 1_600_000_000 })],
    ["a revoked token", (resume) => presenting(resume, { jti: "t1" })],
    ["a device that is no id", (resume) => example.open(`?token=${example.token()}&device=a%20b${resume}`)],
  ])("%s as a failure too", async (_, open) => {
    await start();
    const resume = await resumeOf(await example.connect());
    await example.registry.revoke({ user: "usr_42" as UserId, what: { kind: "token", tokenId: "t1" }, expiresAtMs: Date.now() + 60_000 });
    await open(resume).closed;
    await waitFor(() => totals()[1] === 1, { what: "the failure" });
    expect(totals()).toEqual([1, 1]);
    expect(await example.metric("pushfleet_gateway_resume_failures_total")).toBe("1");
  });

  test("a client that is gone before its hello as a failure", async () => {
    await start();
    const client = example.open(`?device=phone${await resumeOf(await example.connect())}`);
    await client.opened;
    expect(totals()).toEqual([0, 0]); // nobody knows yet
    client.socket.terminate();
    await waitFor(() => totals()[1] === 1, { what: "the failure" });
    expect(totals()).toEqual([1, 1]);
  });

  test("a full gateway's 1013 as a failure", async () => {
    await start({ config: { limits: { maxConnections: 1 } } });
    expect(await presenting(await resumeOf(await example.connect())).closed).toMatchObject({ code: 1013 });
    expect(totals()).toEqual([1, 1]);
  });

  test("the 503 of an empty bucket as a failure", async () => {
    await start({ clock: new ManualClock(), config: { limits: { handshakesPerSecond: 1 } } });
    const resume = await resumeOf(await example.connect());
    const one = async (client: ExampleClient) => await Promise.race([client.closed, client.frame("hello").catch(() => {})]);
    for (let i = 0; i < 4; i++) await one(presenting(resume));
    expect(Number(await example.metric('pushfleet_gateway_handshakes_total{result="busy"}'))).toBeGreaterThan(0);
    expect(example.gateway.status().resumeFailures).toBe(1);
  });

  test.each<readonly [string, (resume: string) => ExampleClient]>([
    ["with a token that is not accepted", (resume) => presenting(resume, { exp: 1_600_000_000 })],
    ["with a device that is no id", (resume) => example.open(`?token=${example.token()}&device=a%20b${resume}`)],
    ["with a token of another user", (resume) => presenting(resume, { sub: "usr_1", exp: 1_600_000_000 })],
  ])("one failure a minute of a user who fails again and again %s, or a single client would pause a rollout", async (_, open) => {
    const clock = new ManualClock();
    await start({ clock });
    const resume = await resumeOf(await example.connect());
    const others = [await resumeOf(await example.connect("usr_42", "tablet")), resume];
    for (let i = 0; i < 10; i++) await open(others[i % 2] ?? "").closed;
    await waitFor(() => totals()[1] !== 0, { what: "the failure" });
    expect(totals()).toEqual([1, 1]);
    clock.advance(limits.resumeFailureWindowMs);
    await open(resume).closed;
    await waitFor(() => totals()[1] === 2, { what: "another failure" });
    await presenting(await resumeOf(await example.connect("usr_43")), { sub: "usr_43", exp: 1_600_000_000 }).closed;
    await waitFor(() => totals()[1] === 3, { what: "another user's" });
    expect(totals()).toEqual([3, 3]);
  });

  test("what a cordoned gateway refuses in neither: the balancer has not noticed yet", async () => {
    await start();
    const resume = await resumeOf(await example.connect());
    example.gateway.drain({ reconnectsPerSecond: 0, deadlineMs: Date.now() + 60_000, epoch: 1 }, "rollout");
    expect(await presenting(resume).closed).toMatchObject({ code: 1013 });
    expect(totals()).toEqual([0, 0]);
  });

  test("one that a newer connection of its device replaced before hello as no failure", async () => {
    await start();
    const resume = await resumeOf(await example.connect());
    const memory = example.registry;
    const register = memory.register.bind(memory);
    Object.assign(memory, { register: async (one: Parameters<typeof register>[0]) => ({ kind: "superseded" as const, one }) });
    expect(await presenting(resume).closed).toMatchObject({ code: 4409 });
    Object.assign(memory, { register });
    expect(totals()).toEqual([1, 0]);
  });
});
