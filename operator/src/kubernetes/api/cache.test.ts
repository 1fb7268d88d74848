import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyText, ObjectCache } from "./cache.js";
import type { CacheChange, KubernetesObject } from "./types.js";

interface Thing extends KubernetesObject {
  readonly color?: string;
}

const thing = (name: string, uid: string, resourceVersion: number | string, more: Partial<Thing> = {}): Thing => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { namespace: "a", name, uid, resourceVersion: String(resourceVersion) },
  ...more,
});
const key = (name: string) => ({ namespace: "a", name });

/** A cache and what it told, in short. */
function open(items: readonly Thing[] = [], resourceVersion = "10") {
  const cache = new ObjectCache<Thing>({ color: ({ color }) => (color === undefined ? [] : [color]) });
  const told: string[] = [];
  cache.listen((change) => told.push(describeChange(change)));
  cache.replace(items, resourceVersion);
  const versions = () => cache.list().map(({ metadata: { name, uid, resourceVersion } }) => `${name}:${uid}@${resourceVersion}`);
  return { cache, told, versions, since: () => told.splice(0) };
}

function describeChange(change: CacheChange<Thing>): string {
  const { name, uid, resourceVersion } = (change.kind === "deleted" ? change.before : change.after).metadata;
  return `${change.kind} ${name}:${uid}@${resourceVersion}`;
}

describe("a cache filled by events", () => {
  test("tells each change once, with what was and what is", () => {
    const { cache, since } = open([thing("x", "u1", 5)]);
    expect(since()).toEqual(["added x:u1@5"]);
    cache.observe("ADDED", thing("y", "u2", 11));
    cache.observe("MODIFIED", thing("x", "u1", 12));
    cache.observe("DELETED", thing("y", "u2", 13));
    expect(since()).toEqual(["added y:u2@11", "changed x:u1@12", "deleted y:u2@11"]);
    expect(cache.resourceVersion).toBe("13");
  });

  test.each<[string, "ADDED" | "MODIFIED" | "DELETED", Thing]>([
    ["the same event again", "ADDED", thing("x", "u1", 11)],
    ["an older one of the object", "MODIFIED", thing("x", "u1", 9)],
    ["one of an object that is gone", "MODIFIED", thing("y", "u2", 12)],
    ["the going of what is gone", "DELETED", thing("y", "u2", 13)],
    ["one from before the list", "ADDED", thing("z", "u3", 8)],
    ["the going of a former object of that name", "DELETED", thing("x", "u0", 4)],
    ["a former object of that name", "ADDED", thing("x", "u0", 3)],
  ])("does not change by %s", (_, type, object) => {
    const { cache, versions, since } = open();
    cache.observe("ADDED", thing("x", "u1", 11));
    cache.observe("ADDED", thing("y", "u2", 12));
    cache.observe("DELETED", thing("y", "u2", 13));
    since();
    cache.observe(type, object);
    expect({ told: since(), versions: versions() }).toEqual({ told: [], versions: ["x:u1@11"] });
    expect(cache.resourceVersion).toBe("13");
  });

  test("an object made anew under its name is another object", () => {
    const { cache, since } = open([thing("x", "u1", 5)]);
    since();
    cache.observe("ADDED", thing("x", "u2", 12)); // the event of its deletion was missed
    expect(since()).toEqual(["deleted x:u1@5", "added x:u2@12"]);
  });

  test("an object that leaves the selector and comes back is seen again", () => {
    const { cache, since } = open([thing("x", "u1", 5)]);
    since();
    cache.observe("DELETED", thing("x", "u1", 11));
    cache.observe("ADDED", thing("x", "u1", 12));
    expect(since()).toEqual(["deleted x:u1@5", "added x:u1@12"]);
  });

  test("a later list tells the difference only", () => {
    const { cache, since } = open([thing("x", "u1", 5), thing("y", "u2", 6), thing("z", "u3", 7), thing("w", "u4", 8)]);
    since();
    cache.replace([thing("x", "u1", 5), thing("y", "u2", 15), thing("z", "u5", 16), thing("v", "u6", 17)], "20");
    expect(since()).toEqual(["changed y:u2@15", "deleted z:u3@7", "added z:u5@16", "added v:u6@17", "deleted w:u4@8"]);
  });

  test("believes a list of a server that went back in time", () => {
    const { cache, since, versions } = open([thing("x", "u1", 5), thing("y", "u2", 6)]);
    cache.observe("MODIFIED", thing("x", "u1", 50));
    cache.observe("DELETED", thing("y", "u2", 51));
    cache.overlay(thing("z", "u3", 52));
    since();
    cache.replace([thing("x", "u1", 20), thing("y", "u2", 6)], "30");
    expect(versions()).toEqual(["x:u1@20", "y:u2@6"]);
    expect(since()).toEqual(["changed x:u1@20", "added y:u2@6", "deleted z:u3@52"]);
  });

  test("drops who set which field, and nothing else", () => {
    const { cache } = open();
    const object = thing("x", "u1", 11, { color: "red" });
    cache.observe("ADDED", { ...object, metadata: { ...object.metadata, managedFields: [{}] } });
    expect(cache.get(key("x"))).toEqual(object);
  });

  test("versions that are no numbers are believed in the order they come", () => {
    const { cache, versions } = open([thing("x", "u1", "aa")], "l1");
    cache.observe("MODIFIED", thing("x", "u1", "ab"));
    cache.overlay(thing("x", "u1", "ac"));
    expect(versions()).toEqual(["x:u1@ab"]);
    cache.observe("DELETED", thing("x", "u1", "ad"));
    cache.observe("ADDED", thing("y", "u2", "00"));
    expect(versions()).toEqual(["y:u2@00"]);
    expect(cache.resourceVersion).toBe("00");
    cache.replace([thing("y", "u2", "01")], "l2");
    expect(versions()).toEqual(["y:u2@01"]);
  });
});

describe("an index", () => {
  test("finds objects by their values, also after changes, and keeps its answer while nothing changes", () => {
    const { cache } = open([thing("x", "u1", 5, { color: "red" }), thing("y", "u2", 6, { color: "red" }), thing("z", "u3", 7)]);
    const names = (color: string) => cache.byIndex("color", color).map(({ metadata: { name } }) => name);
    expect(names("red")).toEqual(["x", "y"]);
    expect(cache.byIndex("color", "red")).toBe(cache.byIndex("color", "red"));
    expect(cache.list()).toBe(cache.list());
    cache.observe("MODIFIED", thing("x", "u1", 11, { color: "blue" }));
    cache.observe("MODIFIED", thing("y", "u2", 12, { color: "red" }));
    expect([names("red"), names("blue"), names("green")]).toEqual([["y"], ["x"], []]);
    expect(cache.byIndex("color", "red")[0]).toBe(cache.get(key("y")));
    cache.observe("DELETED", thing("y", "u2", 13));
    expect(names("red")).toEqual([]);
    expect(() => cache.byIndex("colour", "red")).toThrow("no index colour");
  });
});

describe("an overlay", () => {
  test("is seen at once, and its event changes nothing more", () => {
    const { cache, since, versions } = open([thing("x", "u1", 5)]);
    since();
    cache.overlay(thing("x", "u1", 20));
    expect(since()).toEqual(["changed x:u1@20"]);
    cache.observe("MODIFIED", thing("x", "u1", 15)); // on its way before our write
    cache.observe("MODIFIED", thing("x", "u1", 20));
    expect({ told: since(), versions: versions() }).toEqual({ told: [], versions: ["x:u1@20"] });
    cache.observe("MODIFIED", thing("x", "u1", 21));
    expect(since()).toEqual(["changed x:u1@21"]);
  });

  test("of something the watch has passed is old news", () => {
    const { cache, since } = open();
    cache.observe("ADDED", thing("x", "u1", 20));
    cache.observe("DELETED", thing("x", "u1", 21));
    since();
    cache.overlay(thing("x", "u1", 20));
    expect(since()).toEqual([]);
  });

  test("outlives a list that was taken before it, and not one that was taken after it", () => {
    const { cache, versions } = open([thing("x", "u1", 5)]);
    cache.overlay(thing("x", "u1", 20));
    cache.overlay(thing("y", "u2", 21));
    cache.replace([thing("x", "u1", 5)], "15");
    expect(versions()).toEqual(["x:u1@20", "y:u2@21"]);
    cache.replace([thing("x", "u1", 20)], "30");
    expect(versions()).toEqual(["x:u1@20"]);
  });

  test("of an object that the watch does not show goes when the watch has passed it", () => {
    const { cache, since } = open();
    cache.overlay(thing("x", "u1", 20));
    cache.advance("19");
    expect(since()).toEqual(["added x:u1@20"]);
    cache.advance("20");
    expect(since()).toEqual(["deleted x:u1@20"]);
  });

  test("before the first list is kept unless the list is newer", () => {
    const cache = new ObjectCache<Thing>();
    cache.overlay(thing("x", "u1", 20));
    cache.overlay(thing("y", "u2", 40));
    cache.replace([thing("x", "u1", 25)], "30");
    expect(cache.list().map(({ metadata }) => metadata.resourceVersion)).toEqual(["25", "40"]);
  });

  test("of an object that is gone already tells that what had its name before is gone too", () => {
    const { cache, since } = open([thing("x", "u1", 5)]);
    since();
    cache.overlayDeleted(key("x"), "u2"); // our delete was answered before our create
    cache.overlay(thing("x", "u2", 13));
    expect(since()).toEqual(["deleted x:u1@5"]);
  });

  test("of an object that was deleted since leaves no room for what had its name before", () => {
    const { cache, since } = open();
    cache.overlay(thing("x", "u2", 20));
    cache.overlayDeleted(key("x"), "u2");
    since();
    cache.overlay(thing("x", "u1", 11)); // an answer that was late
    cache.observe("ADDED", thing("x", "u1", 11));
    cache.observe("DELETED", thing("x", "u1", 12));
    cache.observe("ADDED", thing("x", "u2", 20));
    cache.observe("DELETED", thing("x", "u2", 21));
    expect(since()).toEqual([]);
    cache.observe("ADDED", thing("x", "u3", 22));
    expect(since()).toEqual(["added x:u3@22"]);
  });

  test("of a delete hides the object for good, but not another one of its name", () => {
    const { cache, since, versions } = open([thing("x", "u1", 5)]);
    since();
    cache.overlayDeleted(key("x"), "u0");
    expect(since()).toEqual([]);
    cache.overlayDeleted(key("x"), "u1");
    expect(since()).toEqual(["deleted x:u1@5"]);
    cache.observe("MODIFIED", thing("x", "u1", 11));
    cache.replace([thing("x", "u1", 11)], "11"); // taken before our delete
    expect(versions()).toEqual([]);
    cache.observe("DELETED", thing("x", "u1", 12));
    cache.observe("ADDED", thing("x", "u2", 13));
    expect(since()).toEqual(["added x:u2@13"]);
  });
});

// A server with a history, a watch that shows it late and repeats itself, writers of our own that overlay what they were answered.
type Step =
  | { readonly kind: "write"; readonly name: number; readonly ours: boolean; readonly late: number }
  | { readonly kind: "delete"; readonly name: number; readonly ours: boolean }
  | { readonly kind: "deliver"; readonly count: number }
  | { readonly kind: "repeat"; readonly back: number }
  | { readonly kind: "relist"; readonly back: number }
  | { readonly kind: "answer" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("write" as const), name: fc.nat(3), ours: fc.boolean(), late: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), name: fc.nat(3), ours: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("deliver" as const), count: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("repeat" as const), back: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("relist" as const), back: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("answer" as const) }) },
);

class Story {
  readonly cache = new ObjectCache<Thing>();
  /** Replayed from what was told: it must be what the cache has. */
  readonly replayed = new Map<string, Thing>();
  readonly #history: { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: Thing }[] = [];
  readonly #truth = new Map<string, Thing>();
  readonly #answers: Thing[] = [];
  /** What our own writes were answered last, by name. */
  readonly #confirmed = new Map<string, Thing>();
  /** Uids that may not be seen (again): our own delete was answered, or the watch has shown it. */
  readonly #gone = new Set<string>();
  #delivered = 0;
  #version = 10;
  #listVersion = 10;

  constructor() {
    this.cache.listen((change) => this.#replay(change));
    this.cache.replace([], "10");
  }

  run(action: Step): void {
    switch (action.kind) {
      case "write":
        return this.#write(`n${action.name}`, action.ours, action.late === 0);
      case "delete":
        return this.#delete(`n${action.name}`, action.ours);
      case "deliver":
        for (let i = 0; i < action.count; i += 1) this.#deliver();
        return;
      case "repeat": {
        const again = this.#history[this.#delivered - 1 - action.back];
        if (again !== undefined) this.cache.observe(again.type, again.object);
        return;
      }
      case "relist":
        return this.#relist(action.back);
      case "answer": {
        const late = this.#answers.shift();
        if (late !== undefined) this.#overlay(late);
      }
    }
  }

  /** What holds at each moment. */
  check(): void {
    expect([...this.replayed]).toEqual(this.cache.list().map((object) => [keyText(object.metadata), object]));
    for (const [name, ours] of this.#confirmed) {
      const seen = this.cache.get(key(name));
      if (this.#truth.get(name)?.metadata.uid === ours.metadata.uid) expect(seen).toBeDefined();
      if (seen !== undefined) expect(Number(seen.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(ours.metadata.resourceVersion));
    }
    for (const { metadata } of this.cache.list()) expect(this.#gone).not.toContain(metadata.uid);
  }

  /** Everything has arrived. */
  end(): void {
    for (const late of this.#answers) this.#overlay(late);
    while (this.#delivered < this.#history.length) this.#deliver();
    const byName = (a: Thing, b: Thing) => a.metadata.name.localeCompare(b.metadata.name);
    expect([...this.cache.list()].sort(byName)).toEqual([...this.#truth.values()].sort(byName));
  }

  #write(name: string, ours: boolean, atOnce: boolean): void {
    const before = this.#truth.get(name);
    this.#version += 1;
    const object = thing(name, before?.metadata.uid ?? `u${this.#version}`, this.#version);
    this.#truth.set(name, object);
    this.#history.push({ type: before === undefined ? "ADDED" : "MODIFIED", object });
    if (ours && atOnce) this.#overlay(object);
    else if (ours) this.#answers.push(object);
  }

  #overlay(object: Thing): void {
    this.cache.overlay(object);
    const { name, resourceVersion } = object.metadata;
    const before = this.#confirmed.get(name)?.metadata.resourceVersion ?? 0;
    if (Number(resourceVersion) > Number(before)) this.#confirmed.set(name, object);
  }

  #delete(name: string, ours: boolean): void {
    const before = this.#truth.get(name);
    if (before === undefined) return;
    this.#version += 1;
    this.#truth.delete(name);
    this.#history.push({ type: "DELETED", object: thing(name, before.metadata.uid ?? "", this.#version) });
    if (!ours) return;
    this.cache.overlayDeleted(key(name), before.metadata.uid ?? "");
    this.#gone.add(before.metadata.uid ?? "");
  }

  #deliver(): void {
    const next = this.#history[this.#delivered];
    if (next === undefined) return;
    this.cache.observe(next.type, next.object);
    this.#show(next);
    this.#delivered += 1;
  }

  /** A list taken `back` events ago, but not before what the watch has shown. */
  #relist(back: number): void {
    const upTo = Math.max(this.#delivered, this.#history.length - back);
    const items = new Map<string, Thing>();
    for (const { type, object } of this.#history.slice(0, upTo)) {
      if (type === "DELETED") items.delete(object.metadata.name);
      else items.set(object.metadata.name, object);
    }
    this.#listVersion = Math.max(this.#listVersion, 10 + upTo);
    this.cache.replace([...items.values()].reverse(), String(this.#listVersion));
    for (const event of this.#history.slice(this.#delivered, upTo)) this.#show(event);
    this.#delivered = upTo;
  }

  #show({ type, object }: { readonly type: string; readonly object: Thing }): void {
    if (type === "DELETED") this.#gone.add(object.metadata.uid ?? "");
  }

  #replay(change: CacheChange<Thing>): void {
    const text = keyText(change.kind === "deleted" ? change.before.metadata : change.after.metadata);
    const known = this.replayed.get(text);
    if (change.kind === "added") expect(known).toBeUndefined();
    else expect(known).toBe(change.before);
    if (change.kind === "deleted") this.replayed.delete(text);
    else this.replayed.set(text, change.after);
  }
}

test("whatever is repeated, late, listed or overlaid, reads are never older than our confirmed writes, and the end is the server's truth", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      const story = new Story();
      for (const action of steps) {
        story.run(action);
        story.check();
      }
      story.end();
      story.check();
    }),
    { numRuns: 500 },
  );
});
