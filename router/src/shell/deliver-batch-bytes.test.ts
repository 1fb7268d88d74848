import { parseUserId, type UserId } from "@pushfleet/protocol";
import { v1 } from "@pushfleet/service";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeDeliverBatch, measureParcel } from "./deliver-batch-bytes.js";

const idCharacter = fc.constantFrom(..."ABCxyz019._:@-");
const id = fc.string({ unit: idCharacter, minLength: 1, maxLength: 128 });
const user = id.map((text): UserId => {
  const parsed = parseUserId(text);
  if (parsed === undefined) throw new Error("not an id");
  return parsed;
});
const anyText = fc.string({ unit: "binary", maxLength: 200 });
const time = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 9_999_999_999_999 }));
const delivery = fc.record({
  frame: anyText,
  user,
  kind: fc.constantFrom(v1.FrameKind.FRAME_NOTIFICATION, v1.FrameKind.FRAME_MARK_READ),
  cursor: fc.constantFrom("", "c1_1700000000000_000001"),
  notificationId: fc.oneof(fc.constant(""), id),
  createdAtMs: time,
  expiresAtMs: time,
  lane: fc.constantFrom(v1.Lane.LANE_NORMAL, v1.Lane.LANE_HIGH, v1.Lane.LANE_LOW),
  collapseKey: anyText,
});
const target = fc.record({ device: id, entry: fc.record({ connection: fc.constantFrom("0", "zz", "abcdefghijk") }) });

test("a batch is read by the generated decoder as what was put in", () => {
  const batch = fc.array(fc.tuple(delivery, fc.array(target, { maxLength: 5 })), { maxLength: 6 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), batch, (batchId, deliveries) => {
      const parcels = deliveries.map(([one, targets]) => measureParcel(one, targets));
      const decoded = v1.DeliverBatch.decode(encodeDeliverBatch(batchId, parcels));
      expect(decoded.batchId).toBe(batchId);
      expect(decoded.deliveries).toHaveLength(deliveries.length);
      for (const [index, [one, targets]] of deliveries.entries()) {
        const read = new v1.Delivery(decoded.deliveries[index]);
        const { user: _user, frame, ...rest } = one;
        expect(Buffer.from(read.frame).equals(Buffer.from(frame))).toBe(true);
        const { kind, cursor, notificationId, createdAtMs, expiresAtMs, lane, collapseKey } = read;
        expect({ kind, cursor, notificationId, createdAtMs, expiresAtMs, lane, collapseKey }).toEqual(rest);
        expect(read.targets.map(({ user: to, device, connection }) => ({ to, device, connection }))).toEqual(
          targets.map(({ device, entry }) => ({ to: one.user, device, connection: entry.connection })),
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("a frame of 32 KiB and a thousand targets are encoded like the others", () => {
  const parsed = parseUserId("u".repeat(128));
  if (parsed === undefined) throw new Error("not an id");
  const targets = Array.from({ length: 1000 }, (_, index) => ({
    device: `d${index}`.padEnd(128, "x"),
    entry: { connection: "abcdefghijk" },
  }));
  const one = {
    frame: "é".repeat(16_384),
    user: parsed,
    kind: v1.FrameKind.FRAME_NOTIFICATION,
    cursor: "c1_1700000000000_000001",
    notificationId: "n".repeat(128),
    createdAtMs: 1,
    expiresAtMs: 2,
    lane: v1.Lane.LANE_LOW,
    collapseKey: "k",
  };
  const decoded = v1.DeliverBatch.decode(encodeDeliverBatch(7, [measureParcel(one, targets)]));
  expect(decoded.deliveries[0]?.targets).toHaveLength(1000);
  expect(Buffer.from(decoded.deliveries[0]?.frame ?? []).toString()).toBe(one.frame);
});
