import { limits } from "@pushfleet/protocol";
import { ManualClock, v1 } from "@pushfleet/service";
import { beforeEach, expect, test } from "vitest";
import { GatewayStream } from "./gateway-stream.js";

let clock: ManualClock;
let changes: number;
/** Of the last stream that was opened. */
let say: (status: v1.IGatewayStatus) => void;
let end: () => void;
let stream: GatewayStream;

beforeEach(() => {
  clock = new ManualClock();
  changes = 0;
  const statuses = {
    watch: (onStatus: typeof say, onEnd: typeof end) => {
      say = onStatus;
      end = onEnd;
    },
    close: () => undefined,
  };
  const openCalls = () => {
    throw new Error("nothing is called");
  };
  const onChange = () => {
    changes += 1;
  };
  stream = new GatewayStream({ clock, random: () => 0.5, onChange, connect: () => ({ statuses, openCalls }) });
});

const serving = (connections: number) =>
  new v1.GatewayStatus({ state: v1.ServingState.STATE_SERVING, connections, effectiveMaxConnections: 1_000 });

test("the first status tells of a change, and one with another load; one that is nearly the same does not", () => {
  say(serving(100));
  say(serving(101));
  expect(changes).toBe(1);
  say(serving(300));
  expect(changes).toBe(2);
});

test("a gateway whose stream broke reports until it has been silent for long enough, and that it does no more tells of a change once", () => {
  say(serving(100));
  clock.advance(4_000);
  end();
  clock.advance(limits.statusSilenceMs - 4_000);
  expect([stream.report() === undefined, changes]).toEqual([false, 1]);
  end(); // the next one was refused
  clock.advance(1);
  expect([stream.report() === undefined, changes]).toEqual([true, 2]);
  end();
  clock.advance(60_000);
  expect(changes).toBe(2);
});

test("one that is heard again in time was never silent", () => {
  say(serving(100));
  end();
  clock.advance(limits.statusRetryMs);
  say(serving(100));
  clock.advance(limits.statusSilenceMs);
  expect([stream.report() === undefined, changes]).toEqual([false, 1]);
});

test("a gateway that has not said anything yet, or is not asked any more, tells of nothing", () => {
  end();
  clock.advance(60_000);
  expect(changes).toBe(0);
  say(serving(100));
  end();
  stream.close();
  clock.advance(60_000);
  expect(changes).toBe(1);
});

test("one that was not heard yet is awaited for as long as one that was heard is believed to run", () => {
  expect(stream.isAwaited()).toBe(true);
  clock.advance(limits.statusSilenceMs);
  expect(stream.isAwaited()).toBe(true);
  clock.advance(1);
  expect(stream.isAwaited()).toBe(false);
});
