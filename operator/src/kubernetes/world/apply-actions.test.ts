import fc from "fast-check";
import { expect, test } from "vitest";
import type { Action, PodGrant } from "../../core/index.js";
import type { ApiResult, KubernetesApi } from "../api/types.js";
import { type ActionParts, applyActions } from "./apply-actions.js";
import type { Told } from "./gateway-stream.js";
import type { Pod } from "./observe-pod.js";

const grant: PodGrant = {
  ...{ purpose: "drain", reconnectsPerSecond: 10, heldPerSecond: 0, deadlineMs: 1, stragglerGraceMs: 0 },
  ...{ epoch: 1, serial: 1, sinceMs: 0, extensions: 0, reason: "scaleDown" },
};
const conflict: ApiResult<never> = { kind: "conflict", message: "another version" };

/** Pods whose version rises with each write; a write or call that is numbered in `fails` is not done. */
class Pods {
  readonly log: string[] = [];
  readonly versions = new Map<string, number>();
  readonly #fails: ReadonlySet<number>;
  #count = 0;

  constructor(names: readonly string[], fails: readonly number[]) {
    for (const name of names) this.versions.set(name, 1);
    this.#fails = new Set(fails);
  }

  parts(signal = new AbortController().signal): ActionParts {
    const api = {
      patch: async (
        _resource: unknown,
        key: { readonly name: string },
        patch: { readonly metadata: { readonly resourceVersion: string } },
      ) => this.#write("grant", key.name, patch.metadata.resourceVersion),
      delete: async (_resource: unknown, key: { readonly name: string }, options: { readonly resourceVersion: string }) =>
        this.#write("delete", key.name, options.resourceVersion),
      create: async (_resource: unknown, pod: Pod) => this.#create(pod),
    } as unknown as KubernetesApi;
    const tell = (name: string) => async (): Promise<Told> => {
      if (this.#failsNow()) return { kind: "refused", message: "a lower epoch" };
      this.log.push(`tell ${name}`);
      return { kind: "accepted" };
    };
    return {
      ...{ api, signal, namespace: "push", cache: { overlay: () => undefined, overlayDeleted: () => undefined } },
      buildPod: ({ pod }) => ({ kind: "ok", object: podOf(pod, 1) }),
      adopt: async () => "ours",
      streamOf: (uid) => ({ drain: tell(uid), abort: tell(uid) }),
    };
  }

  #failsNow(): boolean {
    this.#count += 1;
    return this.#fails.has(this.#count);
  }

  #write(what: string, name: string, version: string): ApiResult<Pod> {
    const current = this.versions.get(name);
    if (this.#failsNow() || current === undefined || String(current) !== version) return conflict;
    this.log.push(`${what} ${name}`);
    this.versions.set(name, current + 1);
    return { kind: "ok", object: podOf(name, current + 1) };
  }

  #create(pod: Pod): ApiResult<Pod> {
    if (this.#failsNow()) return { kind: "refused", status: 403, reason: "Forbidden", message: "exceeded quota" };
    this.log.push(`create ${pod.metadata.name}`);
    return { kind: "ok", object: pod };
  }
}

function podOf(name: string, version: number): Pod {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, uid: name, resourceVersion: String(version) } };
}

const reference = (pod: string) => ({ pod, uid: pod, version: "1", why: "it is not needed" });
const write = (pod: string): Action => ({ kind: "writeGrant", ...reference(pod), grant });
const drain = (pod: string): Action => ({ kind: "startDrain", ...reference(pod), grant });
const remove = (pod: string): Action => ({ kind: "deletePod", ...reference(pod), reason: "drained" });
const create = (pod: string): Action => ({ kind: "createPod", pod, pool: "default", slot: 0, revision: "1a2b3c4d", grant, why: "missing" });

test("a grant gives the pod a new version, which the later actions of the plan use", async () => {
  const pods = new Pods(["a"], []);
  const applied = await applyActions([write("a"), drain("a"), remove("a")], pods.parts());
  expect(pods.log).toEqual(["grant a", "tell a", "delete a"]);
  expect(applied).toMatchObject({ isPartial: false, refusals: [] });
});

test("whatever fails, the later actions for that pod are not done, and those for others are", async () => {
  const names = ["a", "b", "c"];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 4 }), async (fails) => {
      const pods = new Pods(names, fails);
      const plan = [...names.map(write), ...names.map(drain), ...names.map(remove)];
      const { done, isPartial, refusals } = await applyActions(plan, pods.parts());
      for (const name of names) {
        const ofPod = plan.filter((action) => "pod" in action && action.pod === name);
        const doneOf = done.filter((action) => "pod" in action && action.pod === name);
        expect(doneOf).toEqual(ofPod.slice(0, doneOf.length));
      }
      expect(done).toHaveLength(pods.log.length);
      expect(isPartial || refusals.length > 0).toBe(done.length < plan.length);
    }),
  );
});

test("a refused creation is told, and the others go on", async () => {
  const pods = new Pods([], [1]);
  const { done, refusals } = await applyActions([create("a"), create("b")], pods.parts());
  expect(done).toHaveLength(1);
  expect(refusals).toMatchObject([{ message: "exceeded quota" }]);
});

test("what a gateway refuses is told in its words", async () => {
  const { refusals } = await applyActions([write("a"), drain("a")], new Pods(["a"], [2]).parts());
  expect(refusals).toEqual([{ action: drain("a"), message: "its gateway says: a lower epoch" }]);
});

test("a process that does not lead any more begins nothing", async () => {
  const pods = new Pods(["a"], []);
  const { done, isPartial } = await applyActions([write("a"), create("b")], pods.parts(AbortSignal.abort()));
  expect(pods.log).toEqual([]);
  expect({ done, isPartial }).toEqual({ done: [], isPartial: true });
});
