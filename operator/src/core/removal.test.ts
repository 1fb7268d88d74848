import { expect, test } from "vitest";
import { drainingPod, fleet, now, pendingPod, pod } from "../../../test/support/observed-fleet.js";
import { viewPod } from "./pod-view.js";
import { mayDelete } from "./removal.js";
import { defaultSettings } from "./settings.js";
import type { ObservedPod, PodMemory } from "./types.js";

const memory: PodMemory = {
  name: "",
  pool: "default",
  connections: 0,
  handshakes: 0,
  resumed: 0,
  reportedAtMs: now,
  wasReady: true,
  gone: false,
};
const unready = { wasReady: false };
const drained = drainingPod(0, { rate: 5, report: { state: "drained", remaining: 0 } });
const past = (agoMs: number) => drainingPod(0, { rate: 5, connections: 9, grant: { deadlineMs: now - agoMs, stragglerGraceMs: 30_000 } });

const rows: readonly [string, ObservedPod, Partial<PodMemory>, boolean, string | undefined][] = [
  ["one that serves: never", pod(0, { connections: 1 }), {}, true, undefined],
  ["one that serves nobody: not without a drain", pod(0), {}, true, undefined],
  ["one whose process ended: yes", pod(0, { phase: "gone", report: "none" }), {}, false, "gone"],
  ["one that is on its way already: no", pod(0, { phase: "gone", terminating: true }), {}, true, undefined],
  ["a drained one: not before its grant is released", drained, { drainedSinceMs: now - 1_000 }, false, undefined],
  ["a drained one after that: yes", drained, { drainedSinceMs: now - 1_100 }, false, "drained"],
  ["a draining one with clients: not before its deadline", drainingPod(0, { rate: 5, connections: 9 }), {}, true, undefined],
  ["nor before the stragglers' grace is over", past(29_999), {}, true, undefined],
  ["nor then, while it may have more time", past(30_000), {}, false, undefined],
  ["when deadline, grace and patience are over: yes", past(30_000), {}, true, "deadlinePassed"],
  ["one whose process has not started: yes", pendingPod(0), unready, false, "neverServed"],
  ["one that served, and whose process seems to have ended just now: no", pendingPod(0), {}, false, undefined],
  ["nor while it may run again untold", pendingPod(0), { pendingSinceMs: now - 29_999 }, false, undefined],
  ["one that served, and of which no process has run for long: yes", pendingPod(0), { pendingSinceMs: now - 30_000 }, false, "neverServed"],
  ["one that is not ready and says that it never had a client: yes", pod(0, { ready: false }), unready, false, "neverServed"],
  [
    "one to which clients are let in, though its kubelet has not said ready: no",
    pod(0, { ready: false, hasAccepted: true }),
    unready,
    false,
    undefined,
  ],
  ["one that had one: no", pod(0, { ready: false, report: { handshakes: 1 } }), unready, false, undefined],
  [
    "one that is not ready and says nothing: it may hold half a million",
    pod(0, { ready: false, report: "none" }),
    unready,
    false,
    undefined,
  ],
  ["one that was ready once: no", pod(0, { ready: false }), {}, false, undefined],
];

test.each(rows)("I4: %s", (_, given, remembered, overdue, expected) => {
  const view = viewPod(given, { ...memory, ...remembered }, fleet(), {});
  expect(mayDelete(view, overdue, { settings: defaultSettings, nowMs: now })).toBe(expected);
});
