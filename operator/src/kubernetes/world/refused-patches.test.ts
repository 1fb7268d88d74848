import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { beforeEach, expect, test } from "vitest";
import { exampleFleet, firstGrant } from "../../../../test/support/example-fleet.js";
import { type FleetStatus, formatGrant } from "../../core/index.js";
import { FairSlots } from "../api/fair-slots.js";
import type { ApiResult, KubernetesApi } from "../api/types.js";
import { FleetApi } from "./fleet-api.js";
import { markPods } from "./mark-pods.js";
import type { Pod } from "./observe-pod.js";
import { adoptOrphans, restoreLabels } from "./restore-pods.js";

const refused: ApiResult<never> = { kind: "refused", status: 422, reason: "Invalid", message: "the platform team says no" };
const fleet = exampleFleet({});
const cache = { overlay: () => undefined, overlayDeleted: () => undefined };

let clock: ManualClock;
let generation: number;
/** The slots of the pods that patches were sent for, and when, in seconds. */
let sent: string[];
let answer: (name: string) => ApiResult<unknown>;
let api: FleetApi;

beforeEach(() => {
  clock = new ManualClock();
  generation = 1;
  sent = [];
  answer = () => refused;
  const inner = {
    ...{ get: async () => refused, list: async () => refused, watch: async () => refused },
    patch: async (_: unknown, { name }: { readonly name: string }) => {
      sent.push(`${name.split("-").at(-2)} at ${clock.monotonicMs() / 1000}`);
      return answer(name);
    },
  };
  const leading = new AbortController().signal;
  api = new FleetApi({
    api: inner as unknown as KubernetesApi,
    clock,
    slots: new FairSlots(2),
    leading,
    generation: () => generation,
    requestMs: 5_000,
  });
});

function pod(slot: number, labels: object = {}): Pod {
  const name = `${fleet.name}-default-${slot}-1a2b3c4d`;
  const annotations = { "pushfleet.dev/grant": formatGrant(firstGrant) };
  return { apiVersion: "v1", kind: "Pod", metadata: { namespace: "push", name, uid: `u${slot}`, labels: { ...labels }, annotations } };
}

const planned = (pods: readonly object[]) => ({ pods }) as unknown as FleetStatus;
const marks = (state: "serving" | undefined) => ({
  ...{ api, cache, nowMs: clock.nowMs() },
  streamOf: () => (state === undefined ? undefined : ({ report: () => ({ state }) } as never)),
});

const writes: Readonly<Record<string, (slot: number) => Promise<unknown>>> = {
  "the owner of": (slot) => adoptOrphans(fleet, [pod(slot)], { api, cache, onRestored: () => undefined }),
  "the labels of": (slot) => restoreLabels(fleet, [pod(slot)], { api, cache, onRestored: () => undefined }),
  "the readiness gate of": (slot) => markPods([pod(slot)], planned([]), marks("serving")),
  "the counted label of": (slot) => markPods([pod(slot)], planned([{ name: pod(slot).metadata.name, counted: true }]), marks(undefined)),
};

async function eachSecond(seconds: number, write: () => Promise<unknown>): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await write();
    clock.advance(limits.planMovingMs);
  }
}

test.each(Object.entries(writes))(
  "%s a pod, refused, is tried ever more slowly, told meanwhile, and at once after an edit",
  async (what, write) => {
    await eachSecond(27, () => write(0));
    expect(sent).toEqual(["0 at 0", "0 at 1", "0 at 3", "0 at 7", "0 at 15", "0 at 25"]);
    expect(api.told).toEqual([expect.stringContaining(`${what} pods was refused: the platform team says no`)]);
    generation = 2;
    sent = [];
    await eachSecond(4, () => write(0));
    expect(sent).toEqual(["0 at 27", "0 at 28", "0 at 30"]);
    answer = () => ({ kind: "ok", object: pod(0) });
    await eachSecond(4, () => write(0));
    expect(sent.slice(3)).toEqual(["0 at 34"]);
    expect(api.told).toEqual([]);
  },
);

test("another pod's writes of that kind go on, and another kind of that pod", async () => {
  answer = (name) => (name.includes("-default-0-") ? refused : { kind: "ok", object: pod(1) });
  const gate = writes["the readiness gate of"];
  const labels = writes["the labels of"];
  for (let second = 0; second < 3; second += 1) {
    await gate?.(0);
    await gate?.(1);
    clock.advance(limits.planMovingMs);
  }
  expect(sent).toEqual(["0 at 0", "1 at 0", "0 at 1", "1 at 1", "1 at 2"]);
  await labels?.(0);
  expect(sent.at(-1)).toBe("0 at 3");
});

test("a gate that is to be shut is shut at once, whatever was refused before", async () => {
  await writes["the readiness gate of"]?.(0);
  clock.advance(1);
  const draining = pod(0);
  const annotations = { "pushfleet.dev/grant": formatGrant({ ...firstGrant, purpose: "drain" }) };
  await markPods([{ ...draining, metadata: { ...draining.metadata, annotations } }], planned([]), marks("serving"));
  expect(sent).toEqual(["0 at 0", "0 at 0.001"]);
});

test("what nobody wants to write any more is not told", async () => {
  await writes["the labels of"]?.(0);
  expect(api.told).toHaveLength(1);
  clock.advance(limits.planSettledMs + limits.planMovingMs);
  expect(api.told).toEqual([]);
});
