import fc from "fast-check";
import { expect, test } from "vitest";
import { FairSlots } from "./fair-slots.js";

/** Work that ends when it is told to. */
function openWork() {
  const ends: (() => void)[] = [];
  const begun: string[] = [];
  const begin = (name: string) => async (): Promise<void> => {
    begun.push(name);
    await new Promise<void>((resolve) => ends.push(resolve));
  };
  const endNext = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, begin, endNext, open: () => ends.length };
}

test("who has much to do waits for its turn behind who has little", async () => {
  const slots = new FairSlots(1);
  const [busy, calm] = [{}, {}];
  const { begun, begin, endNext } = openWork();
  const all = [1, 2, 3].map((n) => slots.run(busy, begin(`busy ${n}`)));
  all.push(slots.run(calm, begin("calm")));
  for (let left = 4; left > 0; left -= 1) await endNext();
  await Promise.all(all);
  expect(begun).toEqual(["busy 1", "busy 2", "calm", "busy 3"]);
});

test("a failure gives its slot back and is the caller's", async () => {
  const slots = new FairSlots(1);
  const fail = async (): Promise<never> => {
    throw new Error("refused");
  };
  await expect(slots.run({}, fail)).rejects.toThrow("refused");
  expect(await slots.run({}, async () => "next")).toBe("next");
});

test("never more at a time than there are slots, never fewer while somebody waits, and all are served", async () => {
  const owners = [{}, {}, {}];
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.oneof(fc.nat({ max: 2 }), fc.constant("end" as const)), { maxLength: 40 }),
      async (atOnce, steps) => {
        const slots = new FairSlots(atOnce);
        const { begin, begun, endNext, open } = openWork();
        const all: Promise<void>[] = [];
        let ended = 0;
        const end = async (): Promise<void> => {
          if (open() > 0) ended += 1;
          await endNext();
        };
        for (const step of steps) {
          if (step === "end") await end();
          else all.push(slots.run(owners[step] ?? {}, begin(String(step))));
          await new Promise((resolve) => setImmediate(resolve));
          expect(open()).toBe(Math.min(atOnce, all.length - ended));
        }
        while (open() > 0) await end();
        await Promise.all(all);
        expect(begun.length).toBe(all.length);
      },
    ),
    { numRuns: 100 },
  );
});
