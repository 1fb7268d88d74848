import { limits } from "@pushfleet/protocol";
import { createLogger, ManualClock } from "@pushfleet/service";
import { Registry } from "prom-client";
import { describe, expect, test, vi } from "vitest";
import { EventCorrelator } from "./event-series.js";
import { EventRecorder, type EventToRecord } from "./events.js";
import type { ApiResult, KubernetesApi, KubernetesObject, ObjectKey } from "./types.js";

const settle = () => new Promise((resolve) => setImmediate(resolve));

const event = (more: Partial<EventToRecord> = {}): EventToRecord => ({
  regarding: { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { namespace: "a", name: "demo", uid: "u" } },
  type: "Warning",
  reason: "DrainBlocked",
  action: "Drain",
  note: "too many connections",
  ...more,
});

interface Written {
  readonly reason?: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly note: string;
  readonly series?: { readonly count: number };
}

function open() {
  const clock = new ManualClock();
  const metrics = new Registry();
  const created: Written[] = [];
  const patched: { readonly name: string; readonly patch: object }[] = [];
  const world: { answer: () => ApiResult<KubernetesObject> | Promise<ApiResult<KubernetesObject>> } = {
    answer: () => ({ kind: "ok", object: event().regarding }),
  };
  const api = {
    async create(_: unknown, object: Written) {
      created.push(object);
      return await world.answer();
    },
    async patch(_: unknown, { name }: ObjectKey, patch: object) {
      patched.push({ name, patch });
      return await world.answer();
    },
  } as unknown as Pick<KubernetesApi, "create" | "patch">;
  const logger = createLogger("test", "silent");
  const warned = vi.spyOn(logger, "warn");
  const options = { api, reportingController: "pushfleet-operator", reportingInstance: "operator-0", clock, logger, metrics };
  return { clock, metrics, options, created, patched, world, warned, recorder: new EventRecorder(options) };
}

describe("an event recorder", () => {
  test("writes an event as events.k8s.io/v1 has it", async () => {
    const { recorder, created } = open();
    recorder.record(event());
    await settle();
    expect(created).toEqual([
      {
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: { namespace: "a", name: expect.stringMatching(/^demo\.[0-9a-f]+$/) },
        eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
        reportingController: "pushfleet-operator",
        reportingInstance: "operator-0",
        type: "Warning",
        reason: "DrainBlocked",
        action: "Drain",
        note: "too many connections",
        regarding: { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", namespace: "a", name: "demo", uid: "u" },
      },
    ]);
  });

  test("names a process by no more than the API server takes", async () => {
    const { options, created } = open();
    new EventRecorder({ ...options, reportingInstance: "x".repeat(253), metrics: new Registry() }).record(event());
    await settle();
    expect(created).toEqual([expect.objectContaining({ reportingInstance: "x".repeat(128) })]);
  });

  test("lets no namespace wait for another where writes are not answered", async () => {
    const { recorder, created, world } = open();
    const elsewhere = { ...event().regarding, metadata: { namespace: "b", name: "demo", uid: "v" } };
    world.answer = () => new Promise(() => {});
    recorder.record(event());
    recorder.record(event({ note: "again" }));
    await settle();
    recorder.record(event({ regarding: elsewhere }));
    await settle();
    expect(created.map(({ metadata }) => metadata.namespace)).toEqual(["a", "b"]);
  });

  test("counts the same event within six minutes, and begins anew after them", async () => {
    const { recorder, created, patched, clock } = open();
    for (let i = 0; i < 3; i += 1) {
      recorder.record(event());
      await settle();
      clock.advance(limits.eventSeriesMs);
    }
    expect(created.length).toBe(1);
    expect(patched.map(({ patch }) => patch)).toEqual([
      { series: { count: 2, lastObservedTime: expect.any(String) } },
      { series: { count: 3, lastObservedTime: expect.any(String) } },
    ]);
    expect(patched[0]?.name).toBe(created[0]?.metadata.name);
    clock.advance(1);
    recorder.record(event());
    await settle();
    expect(created.length).toBe(2);
  });

  test.each<[string, Partial<EventToRecord>]>([
    ["note", { note: "other" }],
    ["reason", { reason: "Other" }],
    ["type", { type: "Normal" }],
    ["object", { regarding: { ...event().regarding, metadata: { namespace: "a", name: "demo", uid: "u2" } } }],
  ])("another %s is another event", async (_, more) => {
    const { recorder, created, patched } = open();
    recorder.record(event());
    recorder.record(event(more));
    await settle();
    expect([created.length, patched.length]).toEqual([2, 0]);
  });

  test("many of one turn are one write with their count", async () => {
    const { recorder, created, patched } = open();
    for (let i = 0; i < 10; i += 1) recorder.record(event());
    await settle();
    expect(created.map(({ series }) => series?.count)).toEqual([10]);
    expect(patched).toEqual([]);
  });

  test("a warning is written however much was told of what went well", async () => {
    const { recorder, created } = open();
    for (let i = 0; i <= limits.eventBurst; i += 1) recorder.record(event({ type: "Normal", note: `gateway ${i}` }));
    recorder.record(event({ type: "Warning", reason: "PodsFail" }));
    await settle();
    expect(created.map(({ reason }) => reason)).toContain("PodsFail");
    expect(created.length).toBe(limits.eventBurst + 1);
  });

  test("writes little about one object, and keeps the count of what it leaves out", async () => {
    const { recorder, created, patched, clock } = open();
    for (let i = 0; i < 40; i += 1) {
      recorder.record(event());
      await settle();
    }
    recorder.record(event({ note: "one more thing" }));
    await settle();
    expect(created.length + patched.length).toBe(limits.eventBurst);
    recorder.record(event({ regarding: { ...event().regarding, metadata: { namespace: "a", name: "other" } } }));
    await settle();
    expect(created.length).toBe(2);
    clock.advance(limits.eventRefillMs);
    recorder.record(event());
    await settle();
    expect(patched.at(-1)?.patch).toMatchObject({ series: { count: 41 } });
  });

  test("says with the next one how many were left out", async () => {
    const { recorder, created, clock } = open();
    for (let i = 0; i < limits.eventBurst + 3; i += 1) recorder.record(event({ note: `gateway ${i}` }));
    await settle();
    for (const note of ["next", "last"]) {
      clock.advance(limits.eventRefillMs);
      recorder.record(event({ note }));
      await settle();
    }
    expect(created.slice(-3).map(({ note }) => note)).toEqual([
      `gateway ${limits.eventBurst - 1}`,
      "next (3 more before it were too many to be written)",
      "last",
    ]);
  });

  test("makes an event anew that is gone from the API server", async () => {
    const { recorder, created, world } = open();
    recorder.record(event());
    await settle();
    let gone = true;
    world.answer = () => {
      const result: ApiResult<KubernetesObject> = gone ? { kind: "notFound" } : { kind: "ok", object: event().regarding };
      gone = false;
      return result;
    };
    recorder.record(event());
    await settle();
    expect(created.map(({ series }) => series?.count)).toEqual([undefined, 2]);
    expect(created[0]?.metadata.name).not.toBe(created[1]?.metadata.name);
  });

  test("drops what cannot be written, says so once, and writes again when it can", async () => {
    const { recorder, created, world, warned, metrics } = open();
    world.answer = () => ({ kind: "unavailable", message: "503" });
    for (let i = 0; i < 3; i += 1) {
      recorder.record(event({ note: `${i}` }));
      await settle();
    }
    expect(warned).toHaveBeenCalledTimes(1);
    world.answer = () => ({ kind: "ok", object: event().regarding });
    recorder.record(event({ note: "0" }));
    await settle();
    expect(created.at(-1)).toMatchObject({ note: "0", series: { count: 2 } });
    const text = await metrics.metrics();
    expect(text).toContain('pushfleet_operator_events_total{outcome="failed"} 3');
    expect(text).toContain('pushfleet_operator_events_total{outcome="written"} 1');
  });

  test("never makes anybody wait, and keeps a bounded number while the API server hangs", async () => {
    const { recorder, created, world, metrics } = open();
    world.answer = () => new Promise(() => undefined);
    for (let i = 0; i < limits.eventQueueMax + 100; i += 1) {
      recorder.record(event({ regarding: { ...event().regarding, metadata: { namespace: "a", name: `demo-${i}` } } }));
    }
    await settle();
    expect(created.length).toBe(1);
    expect(await metrics.metrics()).toContain('pushfleet_operator_events_total{outcome="dropped"} 100');
  });

  test("writes what waits when it is stopped, and gives up after its time", async () => {
    const { recorder, created } = open();
    recorder.record(event());
    await recorder.stop();
    recorder.record(event({ note: "late" }));
    await settle();
    expect(created.length).toBe(1);
    const hanging = open();
    hanging.world.answer = () => new Promise(() => undefined);
    hanging.recorder.record(event());
    await settle();
    const stopped = hanging.recorder.stop();
    hanging.clock.advance(limits.eventStopMs);
    await stopped;
  });

  test.each([
    ["ä".repeat(1_000), 1_024],
    ["x".repeat(1_025), 1_024],
    ["x".repeat(1_024), 1_024],
    ["short", 5],
  ])("cuts a note to what the API takes, between characters", async (note, bytesMax) => {
    const { recorder, created } = open();
    recorder.record(event({ note }));
    await settle();
    const written = created[0]?.note ?? "";
    expect(Buffer.byteLength(written)).toBeLessThanOrEqual(bytesMax);
    expect(Buffer.byteLength(written)).toBeGreaterThanOrEqual(bytesMax - 3);
    expect(written).not.toContain("\uFFFD");
  });

  test("what has no namespace has its events in default; a long name is cut", async () => {
    const { recorder, created } = open();
    recorder.record(event({ regarding: { apiVersion: "v1", kind: "Node", metadata: { name: `${"n".repeat(199)}-${"n".repeat(53)}` } } }));
    await settle();
    expect(created[0]?.metadata).toEqual({ namespace: "default", name: expect.stringMatching(/^n{199}\.[0-9a-f]{10,53}$/) });
  });
});

test("a correlator forgets what was quiet longest, and remembers no more than its bound", () => {
  const correlator = new EventCorrelator<string>();
  for (let i = 0; i <= limits.eventSeriesMax; i += 1) correlator.record(`k${i}`, `o${i}`, "e", i);
  expect(correlator.record("k0", "o0", "e", 5_000)?.count).toBe(1);
  expect(correlator.record(`k${limits.eventSeriesMax}`, "o", "e", 5_000)?.count).toBe(2);
});
