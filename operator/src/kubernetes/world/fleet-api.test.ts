import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { beforeEach, expect, test } from "vitest";
import { FairSlots } from "../api/fair-slots.js";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi } from "../api/types.js";
import { FleetApi } from "./fleet-api.js";

const key = { namespace: "push", name: "demo" };
const unavailable: ApiResult<never> = { kind: "unavailable", message: "timeout" };
const ok = { kind: "ok", object: { apiVersion: "v1", kind: "Pod", metadata: { name: "demo" } } } as const;

let clock: ManualClock;
let sent: string[];
/** What the next write is answered, and after how long. */
let answer: { readonly result: ApiResult<unknown>; readonly afterMs: number };
let api: FleetApi;
let leading: AbortController;
/** Of an operator whose Lease is shorter than usual. */
const requestMs = 2_000;

beforeEach(() => {
  clock = new ManualClock();
  sent = [];
  answer = { result: ok, afterMs: 0 };
  const write = async (kind: string): Promise<ApiResult<unknown>> => {
    sent.push(kind);
    const { result, afterMs } = answer;
    if (afterMs > 0) await new Promise<void>((resolve) => clock.after(afterMs, resolve));
    return result;
  };
  const inner = {
    ...{ get: async () => ok, list: async () => unavailable, watch: async () => unavailable },
    patch: (resource: { readonly kind: string }) => write(resource.kind),
    delete: (resource: { readonly kind: string }) => write(resource.kind),
  };
  leading = new AbortController();
  const parts = {
    api: inner as unknown as KubernetesApi,
    clock,
    slots: new FairSlots(2),
    leading: leading.signal,
    generation: () => 1,
    requestMs,
  };
  api = new FleetApi(parts);
});

const patch = () => api.patch(resources.pods, key, {});

async function patchUnanswered(): Promise<void> {
  answer = { result: unavailable, afterMs: requestMs };
  const patched = patch();
  clock.advance(requestMs);
  expect(await patched).toEqual(unavailable);
}

test("a write that was not answered keeps others of the fleet from being sent, but for its PushGateway", async () => {
  await patchUnanswered();
  answer = { result: ok, afterMs: 0 };
  expect(await patch()).toMatchObject({ kind: "unavailable", message: "not tried: patch Pod demo was not answered" });
  expect(await api.delete(resources.pods, key)).toMatchObject({ kind: "unavailable" });
  expect(await api.patch(resources.pushGateways, key, {})).toMatchObject({ kind: "ok" });
  expect(await api.get(resources.secrets, key)).toMatchObject({ kind: "ok" });
  expect(sent).toEqual(["Pod", "PushGateway"]);
  expect(api.told).toEqual([expect.stringMatching(/within 2 s \(patch Pod demo\): look for an admission webhook/)]);
});

test("after a while one is tried, and when it is answered all are sent again", async () => {
  await patchUnanswered();
  clock.advance(limits.unansweredRestMs);
  answer = { result: ok, afterMs: 100 };
  const [first, second] = [patch(), patch()];
  expect(await second).toMatchObject({ kind: "unavailable" });
  clock.advance(100);
  expect(await first).toMatchObject({ kind: "ok" });
  answer = { result: ok, afterMs: 0 };
  expect(await Promise.all([patch(), patch()])).toMatchObject([{ kind: "ok" }, { kind: "ok" }]);
  expect(api.told).toEqual([]);
});

test("a kind of which no write is answered keeps the others waiting for a while and not for ever, and stays told", async () => {
  /** As a fleet's turn: its Services first, then its pods. */
  const turn = async (): Promise<void> => {
    answer = { result: unavailable, afterMs: requestMs };
    const before = sent.length;
    const service = api.patch(resources.services, key, {});
    if (sent.length > before) clock.advance(requestMs);
    await service;
    answer = { result: ok, afterMs: 0 };
    await patch();
  };
  for (let second = 0; second < 60; second += 1) {
    await turn();
    expect(api.told).toEqual([expect.stringMatching(/within 2 s \(patch Service demo\)/)]);
    clock.advance(limits.planMovingMs);
  }
  const tried = sent.filter((kind) => kind === "Service").length;
  expect(tried).toBeGreaterThan(2);
  expect(sent.length - tried).toBeGreaterThan(20);

  clock.advance(limits.unansweredRestMs * 4);
  expect(await api.patch(resources.services, key, {})).toMatchObject({ kind: "ok" });
  expect(api.told).toEqual([]);
});

test("what was not answered and nobody wants to write any more is not told", async () => {
  await patchUnanswered();
  clock.advance(limits.unansweredRestMs + limits.planSettledMs + limits.planMovingMs);
  expect(api.told).toEqual([]);
});

test("an API server that is gone and says so, or refuses, is asked again at once", async () => {
  answer = { result: unavailable, afterMs: 0 };
  await patch();
  answer = { result: { kind: "refused", status: 403, reason: "Forbidden", message: "no" }, afterMs: 0 };
  expect(await patch()).toMatchObject({ kind: "refused" });
  expect([sent.length, api.told]).toEqual([2, []]);
});

test("a write that waits for its turn has its whole time from when it is sent, and is not sent any more by who does not lead", async () => {
  const waitMs = requestMs * limits.unansweredWriteShare - 1;
  answer = { result: unavailable, afterMs: waitMs };
  const all = [patch(), patch(), patch()];
  await Promise.resolve();
  expect(sent.length).toBe(2);
  clock.advance(waitMs);
  await Promise.all(all.slice(0, 2));
  expect([sent.length, api.told]).toEqual([3, []]);
  all.push(patch(), patch());
  leading.abort();
  clock.advance(waitMs);
  expect(await Promise.all(all.slice(2))).toMatchObject([
    unavailable,
    unavailable,
    { message: "not tried: this operator does not lead any more" },
  ]);
});
