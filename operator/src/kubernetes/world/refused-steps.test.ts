import { limits } from "@pushfleet/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { firstGrant } from "../../../../test/support/example-fleet.js";
import type { Action, PodGrant } from "../../core/index.js";
import { type ActionParts, applyActions } from "./apply-actions.js";
import type { Told } from "./gateway-stream.js";
import { RefusedSteps } from "./refused-steps.js";

const no = "the platform team says no";

let steps: RefusedSteps;
let nowMs: number;
let generation: number;
/** What was sent to the API server and to gateways, and when, in seconds. */
let sent: string[];
/** What a person is told as events. */
let news: string[];
let refusesWrites: boolean;
let refusesCalls: boolean;
/** On the pods. */
let written: Map<string, PodGrant>;

beforeEach(() => {
  [steps, nowMs, generation, sent, news] = [new RefusedSteps(), 0, 1, [], []];
  [refusesWrites, refusesCalls] = [true, true];
  written = new Map();
});

const at = (what: string) => sent.push(`${what} at ${nowMs / 1000}`);
const grant = (purpose: PodGrant["purpose"], reconnectsPerSecond = 0): PodGrant => ({ ...firstGrant, purpose, reconnectsPerSecond });
const reference = (pod: string) => ({ pod, uid: pod, version: "1", why: "so" });

/** As grants.ts plans them: written on the pod unless it is, then told. */
function planned(pod: string, wish: PodGrant): readonly Action[] {
  const call = wish.purpose === "cordon" ? "cordon" : wish.purpose === "drain" ? "startDrain" : "uncordon";
  const write: readonly Action[] =
    written.get(pod)?.purpose === wish.purpose ? [] : [{ kind: "writeGrant", ...reference(pod), grant: wish }];
  return [...write, { kind: call, ...reference(pod), grant: wish }];
}

async function turn(actions: readonly Action[]): Promise<void> {
  const moment = { generation, nowMs };
  const refused = { kind: "refused", status: 422, reason: "Invalid", message: no } as const;
  const answer = (what: string, pod: string) => {
    at(`${what} ${pod}`);
    return refusesWrites ? refused : ({ kind: "ok", object: { metadata: { name: pod, uid: pod } } } as const);
  };
  const tell = (what: string, pod: string) => async (): Promise<Told> => {
    at(`${what} ${pod}`);
    return refusesCalls ? { kind: "refused", message: no } : { kind: "accepted" };
  };
  const api = {
    patch: async (_: unknown, { name }: { readonly name: string }) => answer("write", name),
    delete: async (_: unknown, { name }: { readonly name: string }) => answer("delete", name),
  };
  const parts = {
    ...{
      api,
      signal: new AbortController().signal,
      namespace: "push",
      cache: { overlay: () => undefined, overlayDeleted: () => undefined },
    },
    ...{ buildPod: () => refused, adopt: async () => "ours" as const },
    streamOf: (uid: string) => ({ drain: tell("tell", uid), abort: tell("tell", uid) }),
  } as unknown as ActionParts;
  const applied = await applyActions(
    steps.triable(actions, (uid) => written.get(uid), moment),
    parts,
  );
  for (const action of applied.done) if (action.kind === "writeGrant") written.set(action.uid, action.grant);
  news.push(...steps.took(applied, moment).map(({ action, message }) => `${action.kind}: ${message}`));
}

async function eachSecond(seconds: number, actions: () => readonly Action[]): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await turn(actions());
    nowMs += limits.planMovingMs;
  }
}

const remove: Action = { kind: "deletePod", ...reference("a"), reason: "drained" };

describe("a step that is refused", () => {
  test.each<[string, () => readonly Action[], string, string]>([
    ["a cordon that cannot be written", () => planned("a", grant("cordon")), "write", "patching the grant to cordon of pods"],
    ["a drain that cannot be written", () => planned("a", grant("drain", 10)), "write", "patching the grant to drain of pods"],
    ["a grant to serve that cannot be written", () => planned("a", grant("serve")), "write", "patching the grant to serve of pods"],
    ["a deletion", () => [remove], "delete", "deleting pods"],
  ])("%s is tried ever more slowly, an event once, told meanwhile, and tried at once after an edit", async (_, actions, what, told) => {
    await eachSecond(27, actions);
    expect(sent).toEqual([0, 1, 3, 7, 15, 25].map((second) => `${what} a at ${second}`));
    expect(news).toHaveLength(1);
    expect(steps.told(nowMs)).toEqual([`${told} was refused: ${no}`]);
    generation = 2;
    sent = [];
    await eachSecond(4, actions);
    expect(sent).toEqual([27, 28, 30].map((second) => `${what} a at ${second}`));
    expect(news).toHaveLength(1);
    [refusesWrites, refusesCalls] = [false, false];
    await eachSecond(4, actions);
    expect(sent[3]).toBe(`${what} a at 34`);
    expect(steps.told(nowMs)).toEqual([]);
  });

  test("a gateway that refuses to be cordoned is told ever more slowly, and its words are told once", async () => {
    written.set("a", grant("cordon"));
    await eachSecond(8, () => planned("a", grant("cordon")));
    expect(sent).toEqual(["tell a at 0", "tell a at 1", "tell a at 3", "tell a at 7"]);
    expect(news).toEqual([`cordon: its gateway says: ${no}`]);
    expect(steps.told(nowMs)).toEqual([`telling a to cordon was refused: its gateway says: ${no}`]);
  });

  test("I3: a gateway is never told a grant that could not be written, also while it waits", async () => {
    refusesCalls = false;
    await eachSecond(30, () => [...planned("a", grant("drain", 10)), ...planned("b", grant("cordon"))]);
    expect(sent.filter((one) => one.startsWith("tell"))).toEqual([]);
  });

  test("other words are told again, and so is what was taken meanwhile", async () => {
    await turn(planned("a", grant("cordon")));
    refusesWrites = false;
    nowMs += 1_000;
    await turn(planned("a", grant("cordon")));
    refusesCalls = false;
    nowMs += 1_000;
    await turn(planned("a", grant("cordon")));
    [refusesWrites, refusesCalls] = [true, true];
    written.clear();
    nowMs += 1_000;
    await turn(planned("a", grant("cordon")));
    expect(news).toEqual([`writeGrant: ${no}`, `cordon: its gateway says: ${no}`, `writeGrant: ${no}`]);
  });

  test("another pod's go on, and so does another wish for that pod", async () => {
    await turn(planned("a", grant("cordon")));
    nowMs += 100;
    await turn([...planned("a", grant("cordon")), ...planned("b", grant("cordon")), ...planned("c", grant("drain", 10))]);
    nowMs += 100;
    await turn(planned("a", grant("drain", 10)));
    expect(sent).toEqual(["write a at 0", "write b at 0.1", "write c at 0.1", "write a at 0.2"]);
  });

  test("what nobody plans any more is not told", async () => {
    await turn(planned("a", grant("cordon")));
    expect(steps.told(nowMs)).toHaveLength(1);
    nowMs += limits.planSettledMs + limits.planMovingMs;
    expect(steps.told(nowMs)).toEqual([]);
  });
});

describe("what a drain that moves clients is asked", () => {
  const renew: Action = { kind: "renewDrain", ...reference("a"), grant: grant("drain", 10) };
  const raise: Action = { kind: "writeGrant", ...reference("a"), grant: grant("drain", 20) };

  test.each<[string, PodGrant, readonly Action[], string]>([
    ["its renewal", grant("drain", 10), [renew], "tell"],
    ["another rate", grant("drain", 10), [raise, { ...renew, grant: grant("drain", 20) }], "write"],
    ["to pause", { ...grant("drain"), heldPerSecond: 10 }, [{ ...raise, grant: grant("drain") }], "write"],
  ])("never waits: %s; it is told once all the same", async (_, before, actions, what) => {
    written.set("a", before);
    await eachSecond(4, () => actions);
    expect(sent).toEqual([0, 1, 2, 3].map((second) => `${what} a at ${second}`));
    expect(news).toHaveLength(1);
  });

  test("its renewal goes on while it waits for what else is wanted of it", async () => {
    written.set("a", grant("drain", 10));
    await turn([raise, { ...renew, grant: grant("drain", 20) }]);
    refusesCalls = false;
    await eachSecond(3, () => [renew]);
    expect(sent).toEqual(["write a at 0", "tell a at 0", "tell a at 1", "tell a at 2"]);
  });
});

test("a pod refuses grants from the first that is refused until one is taken", async () => {
  expect(steps.refusesGrants("a")).toBe(false);
  await turn(planned("a", grant("drain")));
  expect([steps.refusesGrants("a"), steps.refusesGrants("b")]).toEqual([true, false]);
  refusesWrites = false;
  nowMs += limits.createRefusedMaxMs;
  await turn(planned("a", grant("drain")));
  expect(steps.refusesGrants("a")).toBe(false);
});
