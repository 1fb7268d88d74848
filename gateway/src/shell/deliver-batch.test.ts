import { v1 } from "@pushfleet/service";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readDeliverBatch } from "./deliver-batch.js";

/** What a reader of the batch can tell, target by target. */
function read(bytes: Buffer, probe: { readonly user: string; readonly device: string }) {
  const seen: unknown[] = [];
  const batchId = readDeliverBatch(bytes, (delivery, target) => {
    const { frame, cursor, notificationId, collapseKey, kind, lane, createdAtMs, expiresAtMs } = delivery;
    seen.push({
      frame: Buffer.from(frame).toString("hex"),
      ...{ cursor, notificationId, collapseKey, kind, lane, createdAtMs, expiresAtMs },
      connectionNumber: target.connectionNumber,
      isProbe: target.isOf(probe.user, probe.device),
    });
  });
  return { batchId, seen };
}

/** The same by the generated decoder. */
function decode(bytes: Buffer, probe: { readonly user: string; readonly device: string }) {
  const batch = v1.DeliverBatch.decode(bytes);
  const seen = batch.deliveries.flatMap((delivery) =>
    (delivery.targets ?? []).map((target) => ({
      frame: Buffer.from(delivery.frame ?? []).toString("hex"),
      cursor: delivery.cursor,
      notificationId: delivery.notificationId,
      collapseKey: delivery.collapseKey,
      kind: delivery.kind,
      lane: delivery.lane,
      createdAtMs: delivery.createdAtMs,
      expiresAtMs: delivery.expiresAtMs,
      connectionNumber: /^[0-9a-z]{1,11}$/.test(target.connection ?? "") ? Number.parseInt(target.connection ?? "", 36) : -1,
      isProbe: target.user === probe.user && target.device === probe.device,
    })),
  );
  return { batchId: batch.batchId, seen };
}

const id = fc.constantFrom("usr_42", "phone", "a", "x".repeat(128), "");
const target = fc.record({
  user: id,
  device: id,
  connection: fc.oneof(
    fc.nat().map((n) => n.toString(36)),
    fc.string(),
  ),
});
const delivery = fc.record(
  {
    frame: fc.uint8Array({ maxLength: 300 }),
    targets: fc.array(target, { maxLength: 4 }),
    kind: fc.constantFrom(0, 1),
    cursor: fc.string({ maxLength: 40 }),
    notificationId: fc.string({ unit: "binary", maxLength: 200 }),
    createdAtMs: fc.double({ noNaN: true }),
    expiresAtMs: fc.double({ noNaN: true }),
    lane: fc.constantFrom(0, 1, 2),
    collapseKey: fc.string({ unit: "grapheme" }),
  },
  { requiredKeys: [] },
);
const batch = fc.record({ batchId: fc.nat(2 ** 32 - 1), deliveries: fc.array(delivery, { maxLength: 6 }) });
const bytesOf = (value: v1.IDeliverBatch): Buffer => Buffer.from(v1.DeliverBatch.encode(value).finish());
const probe = { user: "usr_42", device: "phone" };

describe("a batch read where it stands", () => {
  test("says what the generated decoder says", () => {
    fc.assert(
      fc.property(batch, (value) => {
        expect(read(bytesOf(value), probe)).toEqual(decode(bytesOf(value), probe));
      }),
    );
  });

  test("says so too when two batches are merged, or fields it does not know stand between", () => {
    const unknown = fc.constantFrom(
      [0x78, 0x05],
      [0x79, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x7a, 2, 9, 9],
      [0x7d, 1, 2, 3, 4],
      [0xf8, 0x7f, 0x81, 0x01],
    );
    fc.assert(
      fc.property(batch, unknown, batch, (one, between, two) => {
        const bytes = Buffer.concat([bytesOf(one), Buffer.from(between), bytesOf(two)]);
        expect(read(bytes, probe)).toEqual(decode(bytes, probe));
      }),
    );
  });

  test("that is cut or altered throws, or is another batch; it never reads behind its end", () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.nat(255), (value, place, byte) => {
        const bytes = bytesOf(value);
        for (const damaged of [bytes.subarray(0, place % (bytes.length + 1)), Buffer.from(bytes).fill(byte, place % (bytes.length + 1))]) {
          try {
            read(damaged, probe);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        }
      }),
    );
  });
});
