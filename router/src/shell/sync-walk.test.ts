import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createMemoryStore } from "./memory-store.js";
import { type Publication, SyncWorld } from "./sync-world.test-suite.js";

type Step = (world: SyncWorld) => void | Promise<void>;

const router = fc.integer({ min: 0, max: 1 });
const within = (ms: number) => fc.oneof(fc.constant(0), fc.integer({ min: 0, max: ms }), fc.constant(ms));
const data = fc.oneof(
  { weight: 4, arbitrary: fc.json({ maxDepth: 1 }) },
  fc.constantFrom('{"n":9007199254740993,"f":1.0,"e":"\\u00e9"}', "[ 1 ,2 ]", '"é😀"'),
  fc.constant(`"${"x".repeat(limits.dataBytesMax - 2)}"`),
);
const publication: fc.Arbitrary<Publication> = fc.record({
  router,
  data,
  appendMs: within(limits.appendRetryMs),
  lookUpMs: within(limits.appendFreshMs),
  high: fc.boolean(),
});
const quick: Publication = { router: 0, data: "1", appendMs: 0, lookUpMs: 0, high: false };

const publish = (how: Publication, count = 1): Step => {
  return (world) => {
    for (let each = 0; each < count; each++) world.publish(how);
  };
};
const advance = (ms: number): Step => {
  return (world) => world.advance(ms);
};
const take = (of: number, count: number): Step => {
  return (world) => world.take(of, count);
};
const connect: Step = (world) => world.connect(0);
const cut: Step = (world) => world.cut();
const syncAll: Step = (world) => world.syncToTheEnd();

const oneStep = fc.oneof<fc.Arbitrary<Step>[]>(
  fc.tuple(publication, fc.constantFrom(1, 1, 1, 30, 120)).map(([how, count]) => publish(how, count)),
  fc.tuple(fc.nat(200), publication).map(
    ([which, how]): Step =>
      (world) =>
        world.publishAgain(which, how),
  ),
  fc.tuple(router, fc.nat(200)).map(
    ([of, which]): Step =>
      (world) =>
        world.markRead(of, which),
  ),
  fc.tuple(router, fc.constantFrom(1, 2)).map(
    ([of, count]): Step =>
      (world) =>
        world.markUnseen(of, count),
  ),
  fc.oneof(fc.integer({ min: 0, max: 1000 }), within(limits.outboxStayMs), within(limits.syncOverlapMs)).map(advance),
  router.map(
    (of): Step =>
      (world) =>
        world.connect(of),
  ),
  fc.constant(cut),
  fc.constant(syncAll),
  fc.tuple(router, fc.constantFrom(1, 2, 5, 1000)).map(([of, count]) => take(of, count)),
);

/** A slow notification waits in the outbox while one that overtakes moves the saved cursor; then the connection ends. */
const overtaken = fc
  .tuple(publication, publication, within(limits.outboxStayMs), fc.nat(3))
  .map(([slow, fast, stayMs, taken]) => [
    syncAll,
    publish({ ...slow, high: false }),
    advance(slow.appendMs + slow.lookUpMs + stayMs),
    publish({ ...fast, appendMs: 0, lookUpMs: 0, high: true }),
    advance(0),
    take(0, taken),
    cut,
  ]);

/** Much was read and published while the client was away, at times far apart; it is cut off after a few pages. */
const backlog = fc
  .tuple(fc.constantFrom(0, 150, 250), fc.constantFrom(1, 1500, 2500), fc.constantFrom(0, 150), within(100_000), fc.nat(4))
  .map(([before, marks, after, apartMs, pages]): Step[] => [
    syncAll,
    cut,
    publish(quick, before),
    advance(apartMs),
    (world) => world.markUnseen(0, marks),
    advance(apartMs),
    publish(quick, after),
    advance(100_000),
    connect,
    ...Array.from({ length: pages }, () => take(1, 1)),
    cut,
  ]);

const sequences = fc
  .array(
    fc.oneof(
      { weight: 12, arbitrary: oneStep.map((step) => [step]) },
      { weight: 2, arbitrary: overtaken },
      { weight: 1, arbitrary: backlog },
    ),
    {
      maxLength: 40,
    },
  )
  .map((parts) => parts.flat());

/** Received once: the model keeps the first of each id; here that none is missing, changed or made up. */
async function expectNothingMissing(world: SyncWorld): Promise<void> {
  const { received, read } = world.client;
  for (const [notificationId, text] of world.owed) {
    expect(received.has(notificationId), `${notificationId} was received`).toBe(true);
    expect(received.get(notificationId) ?? text).toBe(text);
    expect(read.has(notificationId), `${notificationId} is read`).toBe(world.marked.has(notificationId));
  }
  for (const notificationId of received.keys()) expect(world.appended.has(notificationId)).toBe(true);
  expect([...world.owedReads].filter((notificationId) => !read.has(notificationId))).toEqual([]);
}

describe("a client that follows the protocol", () => {
  test("has, after its next complete sync, everything that was ever accepted, byte for byte, and knows what was read", async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        const world = new SyncWorld((clock) => createMemoryStore({ clock }));
        for (const step of steps) await step(world);
        await world.settle();
        await expectNothingMissing(world);

        const { appended, marked } = world;
        const fromTheStart = await world.readAll();
        expect(new Map([...fromTheStart.received].sort())).toEqual(new Map([...appended].sort()));
        expect([...fromTheStart.flagged].sort()).toEqual([...appended.keys()].filter((each) => marked.has(each)).sort());
      }),
      { numRuns: 200 },
    );
  });
});
