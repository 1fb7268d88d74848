import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Seen } from "./seen.js";

/** What happened to one id, in order, and what the application was told: `new` or `new:read` once, `mark` at most once. */
type Step = "live" | "sync" | "sync:read" | "mark_read" | "acked";

function told(steps: readonly Step[]): readonly string[] {
  const seen = new Seen();
  const marks = (): readonly string[] => seen.markRead(["n1"]).map(() => "mark");
  return steps.flatMap((step) => {
    if (step === "mark_read") return marks();
    if (step === "acked") return marks().slice(0, 0);
    const arrived = seen.arrive("n1", step === "sync:read");
    if (arrived.kind === "new") return [arrived.read ? "new:read" : "new"];
    return step === "sync:read" ? marks() : [];
  });
}

describe("of a notification the application is told", () => {
  test.each<[readonly Step[], readonly string[]]>([
    [["live"], ["new"]],
    [["live", "sync"], ["new"]],
    [["sync:read"], ["new:read"]],
    [["sync:read", "mark_read"], ["new:read"]],
    [["sync:read", "sync:read"], ["new:read"]],
    [
      ["live", "sync:read"],
      ["new", "mark"],
    ],
    [
      ["live", "sync:read", "sync:read"],
      ["new", "mark"],
    ],
    [
      ["live", "sync:read", "mark_read"],
      ["new", "mark"],
    ],
    [
      ["live", "mark_read", "mark_read"],
      ["new", "mark"],
    ],
    [
      ["live", "mark_read", "sync:read", "sync"],
      ["new", "mark"],
    ],
    [["mark_read", "live"], ["new:read"]],
    [["mark_read", "mark_read", "live", "mark_read", "sync:read"], ["new:read"]],
    [["live", "acked", "sync:read", "mark_read"], ["new"]],
    [["acked", "sync"], ["new:read"]],
  ])("%j: %j", (steps, expected) => {
    expect(told(steps)).toEqual(expected);
  });

  test("whatever comes in whatever order: it once, that it was read at most once, and never not if somebody else read it", () => {
    const step = fc.constantFrom<Step>("live", "sync", "sync:read", "mark_read");
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const heard = told(steps);
        const isThere = steps.some((one) => one !== "mark_read");
        const isRead = steps.some((one) => one === "mark_read" || one === "sync:read");
        expect(heard.filter((one) => one.startsWith("new"))).toHaveLength(isThere ? 1 : 0);
        expect(heard.filter((one) => one !== "new")).toHaveLength(isThere && isRead ? 1 : 0);
      }),
    );
  });

  test("the ids that became read, each once, however often one list names them", () => {
    const seen = new Seen();
    seen.arrive("n1", false);
    seen.arrive("n2", false);
    expect(seen.markRead(["n2", "n1", "n2", "n3"])).toEqual(["n2", "n1"]);
    expect(seen.markRead(["n1", "n3"])).toEqual([]);
  });
});

test("read marks that wait for their notification are bounded, the oldest goes first", () => {
  const seen = new Seen(2);
  seen.markRead(["n1", "n2", "n3"]);
  expect(seen.arrive("n1", false)).toEqual({ kind: "new", read: false });
  expect(seen.arrive("n2", false)).toEqual({ kind: "new", read: true });
  expect(seen.arrive("n3", false)).toEqual({ kind: "new", read: true });
});
