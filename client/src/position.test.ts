import fc from "fast-check";
import { expect, test } from "vitest";
import { Position } from "./position.js";
import { Seen } from "./seen.js";

test("before the sync is done only its pages move the cursor", () => {
  const position = new Position("c1");
  position.live("c5", false);
  expect(position.saved).toBe("c1");
  expect(position.page("c3", true)).toBe("go_on");
  expect(position.saved).toBe("c3");
  expect(position.page("c4", false)).toBe("done");
  position.live("c7", true);
  position.live("c6", true);
  expect(position.saved).toBe("c7");
});

test("a gap never moves the cursor forward", () => {
  const position = new Position("c3");
  expect(position.gap("c5", false)).toBe("sync_now");
  expect(position.saved).toBe("c3");
  position.gap("c2", false);
  expect(position.saved).toBe("c2");
});

test("a gap during a sync is owed when the sync ends, or when its connection does", () => {
  const finished = new Position("c3");
  expect(finished.gap("c2", true)).toBe("later");
  expect(finished.page("c9", false)).toBe("sync_again");
  expect(finished.saved).toBe("c2");
  const interrupted = new Position("c3");
  interrupted.gap("c2", true);
  interrupted.page("c9", true);
  interrupted.interrupted();
  expect(interrupted.saved).toBe("c2");
});

test("each notification is new once, and knows of a read mark that came before it", () => {
  const seen = new Seen();
  expect(seen.markRead(["n1"])).toEqual([]);
  expect(seen.arrive("n1", false)).toEqual({ kind: "new", read: true });
  expect(seen.arrive("n1", false)).toEqual({ kind: "seen" });
  expect(seen.arrive("n2", false)).toEqual({ kind: "new", read: false });
  expect(seen.markRead(["n1", "n2", "n3"])).toEqual(["n2"]);
});

test("what is remembered is bounded, the oldest goes first", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30), { maxLength: 200 }), (ids) => {
      const seen = new Seen(10);
      const recent: number[] = [];
      for (const id of ids) {
        expect(seen.arrive(`n${id}`, false).kind).toBe(recent.includes(id) ? "seen" : "new");
        if (!recent.includes(id)) recent.push(id);
        if (recent.length > 10) recent.shift();
      }
    }),
  );
});
