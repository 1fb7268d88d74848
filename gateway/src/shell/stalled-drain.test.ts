import { afterEach, expect, test, vi } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";
import { SocketWriter } from "./socket-writer.js";

const perSecond = 100;
const clients = 160;
let example: ExampleGateway;
afterEach(async () => {
  vi.restoreAllMocks();
  await example?.stop();
});

/** As a busy machine does it: nothing else runs meanwhile. */
function stall(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Calls `before` ahead of each `reconnect` frame, and notes when it leaves. */
function watchReconnects(before: (sent: number) => void): readonly number[] {
  const sentAtMs: number[] = [];
  const { sendControl } = SocketWriter.prototype;
  vi.spyOn(SocketWriter.prototype, "sendControl").mockImplementation(function (this: SocketWriter, connection, frame) {
    if (frame.startsWith('{"type":"reconnect"')) {
      before(sentAtMs.length);
      sentAtMs.push(performance.now());
    }
    return sendControl.call(this, connection, frame);
  });
  return sentAtMs;
}

function mostInASecond(timesMs: readonly number[]): number {
  let most = 0;
  let from = 0;
  for (const [index, atMs] of timesMs.entries()) {
    while (atMs - (timesMs[from] ?? atMs) >= 1000) from++;
    most = Math.max(most, index - from + 1);
  }
  return most;
}

async function drainAll(): Promise<void> {
  const grant = { reconnectsPerSecond: perSecond, deadlineMs: Date.now() + 120_000, epoch: 1, stragglerGraceMs: 60_000 };
  example.gateway.drain(grant, "scale down");
  await waitFor(() => example.gateway.status().remaining === 0, { what: "everybody to be asked", deadlineMs: 40_000 });
}

test.each<readonly [string, number | undefined, (sent: number) => void]>([
  ["between two slices", 137, () => {}],
  // A process that is not given the processor stops anywhere; what it had decided on it does when it goes on.
  ["in the midst of one", undefined, (sent) => sent % 150 === 0 && stall(900)],
])(
  "I3: a gateway whose event loop stands still %s sends no more than its grant in any 1,000 ms",
  async (_, everyMs, before) => {
    example = await ExampleGateway.start();
    await Promise.all(Array.from({ length: clients }, (_, index) => example.connect(`usr_${index}`)));
    const sentAtMs = watchReconnects(before);
    let stalls = 0;
    const timer = everyMs === undefined ? undefined : setInterval(() => stall(300 + ((stalls++ * 211) % 600)), everyMs);
    try {
      await drainAll();
    } finally {
      clearInterval(timer);
    }
    expect(sentAtMs).toHaveLength(clients);
    expect(mostInASecond(sentAtMs)).toBeLessThanOrEqual(perSecond);
    expect(mostInASecond(sentAtMs)).toBeGreaterThan(perSecond / 10); // it was no trickle
  },
  60_000,
);
