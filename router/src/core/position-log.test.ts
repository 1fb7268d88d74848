import { formatCursor, type NotificationId } from "@pushfleet/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { AgeList } from "./age-list.js";
import { comparePositions, streamStart } from "./position.js";
import { PositionLog } from "./position-log.js";

const item = (id: number, atMs: number) => ({ notificationId: `n${id}` as NotificationId, cursor: formatCursor(atMs, 0) });
const ids = fc.integer({ min: 0, max: 40 });
const times = fc.integer({ min: 0, max: 30 });

test("a log is what sorting its items gives, whatever was put in and taken out, below and above the size that is indexed", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(ids, times), { maxLength: 120 }), ids, times, (puts, askedId, askedMs) => {
      const log = new PositionLog<ReturnType<typeof item>>();
      const model = new Map<string, ReturnType<typeof item>>();
      for (const [id, atMs] of puts) {
        const next = item(id, atMs);
        const before = log.find(next.notificationId);
        expect(before).toBe(model.get(next.notificationId));
        if (before !== undefined) log.remove(before);
        log.add(next);
        model.set(next.notificationId, next);
      }
      const sorted = [...model.values()].sort(comparePositions);
      expect(Array.from({ length: log.length }, (_, index) => log.at(index))).toEqual(sorted);
      expect([log.first(), log.last(), log.length]).toEqual([sorted[0], sorted.at(-1), sorted.length]);
      const asked = item(askedId, askedMs);
      expect(log.indexAfter(asked)).toBe(sorted.filter((each) => comparePositions(each, asked) <= 0).length);
      expect(log.indexAfter(streamStart)).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("a list by age keeps the order of arrival, whoever leaves", () => {
  interface Item {
    readonly number: number;
    older: Item | undefined;
    newer: Item | undefined;
  }
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(), { nil: undefined }), { maxLength: 60 }), (steps) => {
      const list = new AgeList<Item>();
      const model: Item[] = [];
      for (const [number, step] of steps.entries()) {
        const leaving = step === undefined ? undefined : model[step % Math.max(model.length, 1)];
        if (leaving !== undefined) {
          list.remove(leaving);
          model.splice(model.indexOf(leaving), 1);
        } else {
          const arriving: Item = { number, older: undefined, newer: undefined };
          list.add(arriving);
          model.push(arriving);
        }
        const walked: number[] = [];
        for (let at = list.oldest; at !== undefined; at = at.newer) walked.push(at.number);
        expect(walked).toEqual(model.map((each) => each.number));
        expect(list.newest).toBe(model.at(-1));
      }
    }),
    { numRuns: 200 },
  );
});
