import { limits } from "@pushfleet/protocol";
import { v1 } from "@pushfleet/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FakeGateway } from "../fake-gateway.test-support.js";
import { RouterWorld } from "../router-world.test-suite.js";

let world: RouterWorld;
let gateway: FakeGateway;

beforeEach(async () => {
  world = await new RouterWorld().start();
  gateway = await world.addGateway();
});
afterEach(() => world.stop());

const cursorsOf = (id: string): readonly string[] =>
  world.log.flatMap((line) => (line.startsWith(`append ${id} `) ? [line.slice(-23)] : []));
const unavailable = { kind: "unavailable", cause: new Error("away") } as const;
const deliveredTo = (at: FakeGateway, id: string) => at.deliveries.filter((delivery) => delivery.notificationId === id);

describe("a notification", () => {
  test("is appended, then looked up, then delivered, then answered", async () => {
    await gateway.connect(world.registry, "u", "d");
    gateway.onBatch = () => world.log.push("delivered");
    const answer = world.publish("u", "n1").then((value) => {
      world.log.push("answered");
      return value;
    });
    expect((await world.settled(answer, "the answer")).status).toBe(202);
    expect(world.log.map((line) => line.replace(/ c1_.*/, ""))).toEqual(["append n1", "look up u", "delivered", "answered"]);
  });

  test("whose look-up fails is not offline: it is looked up again", async () => {
    await gateway.connect(world.registry, "u", "d");
    world.lookUps.push(
      async () => [unavailable],
      async () => {
        throw new Error("a bug");
      },
    );
    expect((await world.settled(world.publish("u", "n1"), "the answer")).status).toBe(202);
    expect(world.router.totals()).toMatchObject({ written: 1, offline: 0 });
    expect(cursorsOf("n1")).toHaveLength(1);
  });

  test.each([
    ["cannot say", async () => [unavailable]],
    [
      "throws",
      async () => {
        throw new Error("a bug");
      },
    ],
    ["gives no outcome", async () => []],
  ])("whose store %s is appended again under a new cursor, before it is looked up", async (_, append) => {
    await gateway.connect(world.registry, "u", "d");
    world.appends.push(append);
    expect((await world.settled(world.publish("u", "n1"), "the answer")).status).toBe(202);
    const [first, second] = cursorsOf("n1");
    expect(second?.localeCompare(first ?? "")).toBe(1);
    expect(world.log.map((line) => line.split(" ")[0])).toEqual(["append", "append", "look"]);
    expect(gateway.frames[0]).toContain(second);
  });

  test("whose append is not acknowledged within appendRetryMs is appended again: a sync could have read past it", async () => {
    world.appends.push(() => new Promise(() => {}));
    const answer = world.publish("u", "n1");
    await world.until(() => cursorsOf("n1").length === 1, "the first append");
    world.clock.advance(limits.appendRetryMs);
    expect((await world.settled(answer, "the answer")).status).toBe(202);
    expect(cursorsOf("n1")).toHaveLength(2);
  });

  test("that the store will never take is refused with the reason", async () => {
    world.appends.push(async () => [{ kind: "failed", reason: "too wide" }]);
    expect(await world.settled(world.publish("u", "n1"), "the answer")).toMatchObject({
      status: 400,
      body: { error: { faults: [{ path: "", value: "u", expected: "what the store takes: too wide" }] } },
    });
  });

  test("without outcomes appendFreshMs after its append is appended again, under a new cursor, before its next look-up", async () => {
    await gateway.connect(world.registry, "u", "d");
    world.lookUps.push(async () => {
      await Promise.resolve(); // out of the timer that asks
      world.clock.advance(limits.appendFreshMs);
      return [unavailable];
    });
    expect((await world.settled(world.publish("u", "n1", { ttl_ms: 60_000 }), "the answer")).status).toBe(202);
    expect(world.log.map((line) => line.split(" ")[0])).toEqual(["append", "look", "append", "look"]);
    const [first, second] = cursorsOf("n1");
    expect(gateway.frames).toEqual([expect.stringContaining(`"cursor":"${second}"`)]);
    expect((await world.syncText("u")).match(/"n1"/g)).toHaveLength(1);
    const expiresAtMs = Number(first?.slice(3, 16)) + 60_000; // that of the first append
    expect(gateway.deliveries[0]?.expiresAtMs).toBe(expiresAtMs);
  });

  test("published again is not appended again while fresh, yet delivered; later it is appended anew", async () => {
    await gateway.connect(world.registry, "u", "d");
    const first = await world.settled(world.publish("u", "n1"), "the first");
    const second = await world.settled(world.publish("u", "n1"), "the second");
    expect(second.body).toEqual({ accepted: [{ ...(first.body["accepted"] as object[])[0], duplicate: true }] });
    expect([cursorsOf("n1").length, deliveredTo(gateway, "n1").length]).toEqual([1, 2]);
    world.clock.advance(limits.appendFreshMs);
    const third = await world.settled(world.publish("u", "n1"), "the third");
    expect(third.body).toMatchObject({ accepted: [{ duplicate: true }] });
    expect(cursorsOf("n1")).toHaveLength(2);
  });

  test("that did not get into the store the first time is no duplicate", async () => {
    world.appends.push(async () => [unavailable]);
    const answer = await world.settled(world.publish("u", "n1"), "the answer");
    expect(answer.body).toEqual({ accepted: [{ notification_id: "n1", cursor: cursorsOf("n1")[1] }] });
  });

  test("carries what the publisher said: lane, expiry, collapse key, creation", async () => {
    await gateway.connect(world.registry, "u", "d");
    const more = { priority: "high", ttl_ms: 5000, collapse_key: "score", created_at: 1_600_000_000_000 };
    await world.settled(world.publish("u", "n1", more), "the answer");
    expect(gateway.deliveries[0]).toMatchObject({
      lane: v1.Lane.LANE_HIGH,
      kind: v1.FrameKind.FRAME_NOTIFICATION,
      expiresAtMs: 1_600_000_005_000,
      collapseKey: "score",
      createdAtMs: 1_600_000_000_000,
    });
    expect(gateway.frames[0]).toContain('"created_at":1600000000000');
  });

  test("to a device that has moved is delivered where it is now", async () => {
    const other = await world.addGateway();
    await gateway.connect(world.registry, "u", "d");
    gateway.answer = v1.Outcome.OUTCOME_STALE;
    gateway.onBatch = () => void other.connect(world.registry, "u", "d");
    expect((await world.settled(world.publish("u", "n1"), "the answer")).status).toBe(202);
    expect(world.router.totals()).toMatchObject({ written: 1, stale: 0 });
    expect([gateway.frames.length, other.frames.length]).toEqual([1, 1]);
  });

  test("counts as offline when the stale device is gone", async () => {
    await gateway.connect(world.registry, "u", "d");
    gateway.answer = v1.Outcome.OUTCOME_STALE;
    gateway.onBatch = () => void world.registry.releaseLease(gateway.incarnation);
    await world.settled(world.publish("u", "n1"), "the answer");
    expect(world.router.totals()).toMatchObject({ offline: 1, stale: 0 });
  });

  test("whose stream breaks on one of two workers is sent again to that one only", async () => {
    const other = await world.addGateway();
    await gateway.connect(world.registry, "u", "a");
    await other.connect(world.registry, "u", "b");
    other.answer = "break";
    const answer = world.publish("u", "n1");
    await world.until(() => other.frames.length > 0 && gateway.frames.length > 0, "both to be sent to");
    other.answer = v1.Outcome.OUTCOME_WRITTEN;
    expect((await world.settled(answer, "the answer")).status).toBe(202);
    expect(world.router.totals()).toMatchObject({ accepted: 1, written: 2 });
    expect(gateway.frames).toHaveLength(1);
    expect(cursorsOf("n1")).toHaveLength(1);
  });
});

test("look-ups of one moment share a pipeline, each user once", async () => {
  const answers = ["a", "b", "a"].map((user, index) => world.publish(user, `n${index}`));
  await world.until(() => cursorsOf("n0").length + cursorsOf("n1").length + cursorsOf("n2").length === 3, "the appends");
  await Promise.all(answers.map((answer) => world.settled(answer, "an answer")));
  const lookUps = world.log.filter((line) => line.startsWith("look up"));
  expect(lookUps.flatMap((line) => line.split(" ").slice(2)).length).toBeLessThanOrEqual(3);
});

test("the frames of one user come in the order of their cursors", async () => {
  await gateway.connect(world.registry, "u", "d");
  const list = Array.from({ length: 1000 }, (_, index) => ({ user_id: "u", notification_id: `n${index}`, data: index }));
  const answers = [0, 1, 2].map((round) =>
    world.publishList(list.map((one) => ({ ...one, notification_id: `${round}-${one.notification_id}` }))),
  );
  for (const answer of answers) expect((await world.settled(answer, "an answer")).status).toBe(202);
  const cursors = gateway.deliveries.map((delivery) => delivery.cursor);
  expect(cursors).toHaveLength(3000);
  expect(cursors).toEqual([...cursors].sort());
});

test("a thousand devices of long names for each of many users fit the messages of a stream", async () => {
  const users = Array.from({ length: 30 }, (_, index) => `${index}`.padEnd(128, "u"));
  for (const user of users)
    for (let device = 0; device < 200; device++) await gateway.connect(world.registry, user, `${device}`.padEnd(128, "d"));
  const answer = world.publishList(users.map((user) => ({ user_id: user, notification_id: "n", data: "x".repeat(30_000) })));
  expect((await world.settled(answer, "the answer")).status).toBe(202);
  expect(world.router.totals()).toMatchObject({ written: 6000 });
});

describe("a worker that does not answer while its lease lives", () => {
  const unreachable = async (): Promise<void> => {
    world.clock.advance(limits.outcomeTimeoutMs);
    world.clock.advance(limits.unreachableWorkerMs);
    await world.registry.refreshLease(gateway.incarnation);
  };

  test.each(["is gone", "hangs"])(
    "because it %s is asked to send gap after 10 s, from the earliest cursor; what follows counts at once",
    async (how) => {
      await gateway.connect(world.registry, "u", "d");
      await gateway.connect(world.registry, "v", "d");
      if (how === "is gone") gateway.stop();
      else gateway.answer = "silent";
      const first = world.publish("u", "n1");
      await world.until(() => cursorsOf("n1").length === 1, "the append");
      const second = world.publish("v", "n2");
      await world.until(() => cursorsOf("n2").length === 1, "the second append");
      await world.until(() => world.log.filter((line) => line.startsWith("look")).length >= 2, "the look-ups");
      await unreachable();
      const answers = [await world.settled(first, "the first"), await world.settled(second, "the second")];
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      expect(world.router.totals()).toMatchObject({ accepted: 2, overflow: 2, written: 0 });
      expect(await world.resyncAfter(gateway)).toBe(cursorsOf("n1").at(-1));

      const third = await world.settled(world.publish("u", "n3"), "the third");
      expect(third.status).toBe(202);
      expect(await world.resyncAfter(gateway)).toBe(cursorsOf("n3")[0]);
      expect(await world.router.metrics.metrics()).toContain("pushfleet_router_resyncs_total 3");
    },
  );

  test("is delivered to again once it answers", async () => {
    await gateway.connect(world.registry, "u", "d");
    gateway.answer = "silent";
    const first = world.publish("u", "n1");
    await world.until(() => gateway.frames.length > 0, "the frame");
    await unreachable();
    await world.settled(first, "the first");
    gateway.answer = v1.Outcome.OUTCOME_WRITTEN;
    const probes = gateway.batches;
    world.clock.advance(limits.outcomeTimeoutMs);
    await world.until(() => gateway.batches > probes, "the question whether it lives");
    await world.until(() => gateway.answered > 0, "its answer");
    const written = async (): Promise<boolean> => {
      await world.settled(world.publish("u", "n2"), "the second");
      return world.router.totals().written > 0;
    };
    await world.until(written, "a delivery");
    expect(deliveredTo(gateway, "n2").length).toBeGreaterThan(0);
  });

  test("and whose lease ends meanwhile has no devices: they are offline", async () => {
    await gateway.connect(world.registry, "u", "d");
    gateway.stop();
    const answer = world.publish("u", "n1");
    await world.until(() => world.log.some((line) => line.startsWith("look")), "the look-up");
    await world.registry.releaseLease(gateway.incarnation);
    expect((await world.settled(answer, "the answer")).status).toBe(202);
    expect(world.router.totals()).toMatchObject({ offline: 1, overflow: 0 });
    world.clock.advance(2 * limits.workerSweepMs);
    await world.until(
      async () => (await world.router.metrics.metrics()).includes("pushfleet_router_workers 0"),
      "its channel to be closed",
    );
  });
});

describe("a request that does not end in time", () => {
  test("is answered 503, and what it wanted is let go", async () => {
    for (let index = 0; index < 1000; index++) world.lookUps.push(async () => [unavailable]);
    const answer = world.publish("u", "n1");
    await world.until(() => cursorsOf("n1").length === 1, "the append");
    world.clock.advance(limits.publishTimeoutMs);
    expect(await world.settled(answer, "the answer")).toMatchObject({
      status: 503,
      body: { error: { code: "busy", retry_after_ms: 1000 } },
      headers: { "retry-after": "1" },
    });
    await world.until(
      async () => (await world.router.metrics.metrics()).includes("pushfleet_router_in_flight 0"),
      "nothing to be under way",
    );
  });

  test("says so of a store that is away", async () => {
    for (let index = 0; index < 1000; index++) world.appends.push(async () => [unavailable]);
    const answer = world.publish("u", "n1");
    await world.until(() => cursorsOf("n1").length === 1, "the append");
    world.clock.advance(limits.publishTimeoutMs);
    expect(await world.settled(answer, "the answer")).toMatchObject({ status: 503, body: { error: { code: "store_unavailable" } } });
  });
});

test("a read mark that reaches nobody in a few attempts is left to the next sync", async () => {
  await gateway.connect(world.registry, "u", "phone");
  await gateway.connect(world.registry, "u", "web");
  gateway.answer = "break";
  const acks = [{ user: "u", device: "phone", notificationIds: ["n1"], state: v1.AckState.ACK_READ, atMs: 0 }];
  expect(await world.router.link.acknowledge({ acks })).toEqual({ kind: "ok", reply: {} });
  const givenUp = async (): Promise<boolean> => (await world.router.metrics.metrics()).includes('read_marks_total{result="abandoned"} 1');
  await world.until(givenUp, "it to be given up");
  expect(gateway.deliveries.length).toBeLessThanOrEqual(limits.readFanOutAttemptsMax);
});

describe("a router that stops", () => {
  test("answers 202 to what gets its outcomes meanwhile", async () => {
    await gateway.connect(world.registry, "u", "d");
    let answer = (): void => {};
    gateway.holdBatch = (go) => {
      answer = go;
    };
    const published = world.publish("u", "n1");
    await world.until(() => gateway.frames.length > 0, "the frame");
    const stopped = world.stopRouter();
    answer();
    expect((await world.settled(published, "the answer")).status).toBe(202);
    await stopped;
  });

  test("answers 503 to what does not", async () => {
    await gateway.connect(world.registry, "u", "d");
    gateway.answer = "silent";
    const published = world.publish("u", "n1");
    await world.until(() => gateway.frames.length > 0, "the frame");
    await world.stopRouter();
    expect(await published).toMatchObject({ status: 503, body: { error: { code: "busy" } } });
  });
});
