import { compressSync } from "snappy";
import { expect, test } from "vitest";
import { decompressSnappy, decompressZstd, decompressZstdByScript } from "./kafka-codecs.js";

/** 300,000 times "a", by the zstd command. */
const zstdOfA = Buffer.from("KLUv/QRoTAAACGEBAPz/ORACAgAQYQOfBGGNXwSm", "base64");

test("zstd is read by the runtime or by script, frame after frame", async () => {
  const text = Buffer.from("a".repeat(300_000));
  for (const decompress of [decompressZstd, decompressZstdByScript]) {
    expect((await decompress(zstdOfA)).equals(text)).toBe(true);
    expect(await decompress(Buffer.concat([zstdOfA, zstdOfA]))).toHaveLength(600_000);
  }
});

test("zstd that grows beyond the bound is given up", async () => {
  await expect(decompressZstdByScript(zstdOfA, 100_000)).rejects.toThrow(/more than 100000 bytes/);
});

test("a bare snappy block is read like one in Java's frame", async () => {
  const text = Buffer.from("snappy ".repeat(1000));
  const block = compressSync(text);
  expect((await decompressSnappy(block)).equals(text)).toBe(true);
  const size = Buffer.alloc(4);
  size.writeInt32BE(block.length);
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  expect((await decompressSnappy(Buffer.concat([header, size, block, size, block]))).length).toBe(2 * text.length);
});
