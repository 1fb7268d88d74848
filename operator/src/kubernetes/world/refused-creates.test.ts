import { limits } from "@pushfleet/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { firstGrant } from "../../../../test/support/example-fleet.js";
import type { Action } from "../../core/index.js";
import { RefusedCreates } from "./refused-creates.js";

type Create = Extract<Action, { readonly kind: "createPod" }>;
const create = (pool: string, slot: number): Create => ({
  ...{ kind: "createPod", pod: `demo-${pool}-${slot}-aa`, pool, slot, revision: "aa", grant: firstGrant, why: "" },
});
const refused = (action: Create, message: string) => ({ done: [], refusals: [{ action, message }], isPartial: false });
const made = (action: Create) => ({ done: [action], refusals: [], isPartial: false });
const [left, right] = [create("left", 0), create("right", 0)];

let creates: RefusedCreates;
beforeEach(() => {
  creates = new RefusedCreates();
});

describe("pods that the API server refuses", () => {
  test("are tried again ever more slowly, and told meanwhile", () => {
    let nowMs = 0;
    for (const pauseMs of [limits.createRefusedMs, 2 * limits.createRefusedMs, 4 * limits.createRefusedMs]) {
      expect(creates.triable([left], nowMs)).toEqual([left]);
      creates.took(refused(left, "no"), nowMs);
      expect(creates.triable([left], nowMs + pauseMs - 1)).toEqual([]);
      expect(creates.told).toEqual(["creating pods was refused: no"]);
      nowMs += pauseMs;
    }
    creates.took(made(left), nowMs);
    expect(creates.told).toEqual([]);
    expect(creates.triable([left], nowMs)).toEqual([left]);
  });

  test("of one pool keep no other pool waiting, nor are they forgotten for its sake", () => {
    creates.took(refused(left, "no"), 0);
    expect(creates.triable([left, right], 1)).toEqual([right]);
    creates.took(made(right), 1);
    expect(creates.triable([left, right], 2)).toEqual([right]);
    expect(creates.told).toEqual(["creating pods was refused: no"]);
    creates.took(refused(right, "nor this"), 2);
    expect(creates.told).toEqual(["creating pods was refused: no", "creating pods was refused: nor this"]);
  });

  test("for one reason are told once", () => {
    creates.took(refused(left, "no"), 0);
    creates.took(refused(right, "no"), 0);
    expect(creates.told).toEqual(["creating pods was refused: no"]);
  });

  test("are forgotten once none of the pool is to be made any more", () => {
    creates.took(refused(left, "no"), 0);
    creates.took(refused(right, "nor this"), 0);
    creates.triable([right], 1);
    expect(creates.told).toEqual(["creating pods was refused: nor this"]);
    expect(creates.triable([left], 2)).toEqual([left]);
  });
});
