import { describe, expect, test } from "vitest";
import { capacity } from "./capacity.js";

const kib = 1024;
const gib = kib ** 3;
/** What a gateway holds when nothing but memory limits it. */
const byMemory = (memoryLimitBytes: number): number =>
  capacity({ maxConnections: Number.MAX_SAFE_INTEGER, nofile: undefined, memoryLimitBytes, tls: false }).effectiveMaxConnections;

/** Of what is left for connections 70 % are planned with: the target for memory in use. */
const planned = 0.7;
/** From two servers, so that what is taken off both falls out. */
const bytesPerConnection = (planned * 16 * gib) / (byMemory(48 * gib) - byMemory(32 * gib));
/** Where the line through both meets zero connections. */
const takenOffFirst = 32 * gib - (byMemory(32 * gib) * bytesPerConnection) / planned;

describe("the memory of a gateway is planned so that", () => {
  test("a connection has 12 KB of kernel buffers and 2 KB of application state: 6 GB and 1 GB for 500,000", () => {
    expect(bytesPerConnection / kib).toBeCloseTo(12 + 2, 3);
    expect((500_000 * bytesPerConnection) / 1e9).toBeCloseTo(6 + 1, 0);
  });

  test("1 GB for the runtime and 2 GB for messages are taken off before a connection is counted", () => {
    expect(takenOffFirst / gib).toBeCloseTo(1 + 2, 3);
  });

  test("a server of 16 GB holds 500,000 connections and has 6 GB left as headroom", () => {
    const used = takenOffFirst + 500_000 * bytesPerConnection;
    expect(byMemory(16 * gib)).toBeGreaterThanOrEqual(500_000);
    expect(16 * gib - used).toBeGreaterThanOrEqual(6e9);
    expect(byMemory(12 * gib)).toBeLessThan(500_000);
  });

  test("connections fill no more than 70 % of the memory that is left for them", () => {
    for (const gibibytes of [16, 32, 64]) {
      const used = byMemory(gibibytes * gib) * (12 + 2) * kib;
      expect(used / ((gibibytes - 3) * gib)).toBeCloseTo(0.7, 4);
    }
  });

  test("of a server of 32 GB half is enough for 500,000, and the other half headroom", () => {
    expect(byMemory(32 * gib * 0.5)).toBeGreaterThanOrEqual(500_000);
  });
});
