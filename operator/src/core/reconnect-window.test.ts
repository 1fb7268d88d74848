import fc from "fast-check";
import { expect, test } from "vitest";
import { emptyReconnectWindow, lookAtReconnects, reconnectsIn, rolledOut } from "./reconnect-window.js";

const pod = (uid: string, attempted: number, failed: number) => ({ uid, attempted, failed });

test("what was added since the last look counts, for a while", () => {
  let window = lookAtReconnects(emptyReconnectWindow, [pod("a", 10, 1)], 0, 1_000);
  expect(reconnectsIn(window)).toEqual({ attempted: 10, failed: 1 });
  window = lookAtReconnects(window, [pod("a", 15, 1), pod("b", 4, 4)], 500, 1_000);
  expect(reconnectsIn(window)).toEqual({ attempted: 19, failed: 5 });
  window = lookAtReconnects(window, [pod("a", 15, 1), pod("b", 4, 4)], 1_000, 1_000);
  expect(reconnectsIn(window)).toEqual({ attempted: 9, failed: 4 });
  expect(reconnectsIn(lookAtReconnects(window, [], 2_000, 1_000))).toBeUndefined();
});

test("what a gateway counted long before it was looked at says nothing of now: after an undo, or for a leader that is new", () => {
  const old = (attempted: number, failed: number) => ({ ...pod("a", attempted, failed), isOld: true });
  let window = lookAtReconnects(emptyReconnectWindow, [old(5_000, 400)], 0, 1_000);
  expect(reconnectsIn(window)).toBeUndefined();
  window = lookAtReconnects(window, [old(5_100, 402)], 500, 1_000);
  expect(reconnectsIn(window)).toEqual({ attempted: 100, failed: 2 });
});

test("a gateway that started again counts from nothing", () => {
  const window = lookAtReconnects(emptyReconnectWindow, [pod("a", 10, 1)], 0, 10_000);
  expect(reconnectsIn(lookAtReconnects(window, [pod("a", 3, 2)], 1, 10_000))).toEqual({ attempted: 13, failed: 3 });
});

test("however often one looks, each reconnect counts once", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { maxLength: 30 }), (steps) => {
      let window = emptyReconnectWindow;
      const total = { attempted: 0, failed: 0 };
      for (const [attempted, failed] of steps) {
        total.attempted += attempted;
        total.failed += failed;
        window = lookAtReconnects(window, [pod("a", total.attempted, total.failed)], 0, 1);
        window = lookAtReconnects(window, [pod("a", total.attempted, total.failed)], 0, 1);
      }
      expect(reconnectsIn(window) ?? { attempted: 0, failed: 0 }).toEqual(total);
    }),
  );
});

test("of a rollout tell the new pods of a pool that has old ones, and of no other", () => {
  const at = (pool: string, revision: string) => ({ pool, revision });
  const pools = [
    { name: "rolling", revision: "b" },
    { name: "settled", revision: "b" },
  ];
  const pods = [at("rolling", "a"), at("rolling", "b"), at("settled", "b"), at("removed", "a")];
  expect(rolledOut(pods, pools)).toEqual([at("rolling", "b")]);
  expect(rolledOut(pods.slice(1), pools)).toEqual([]);
});
