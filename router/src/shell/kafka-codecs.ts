import { decompress as decompressZstd } from "fzstd";
import kafkajs from "kafkajs";
import { compressFrame, decompressFrame } from "lz4-napi";
import { compress as compressSnappy, uncompress as uncompressSnappy } from "snappy";

/** Go and Java producers compress with snappy by default; kafkajs only brings gzip and crashes on the others until they are plugged in.
 *  zstd is only read: this process never writes it. */
export function plugInCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: (encoder: { readonly buffer: Buffer }) => compressSnappy(encoder.buffer),
    decompress: (bytes: Buffer) => decompressSnappy(bytes),
  });
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: (encoder: { readonly buffer: Buffer }) => compressFrame(encoder.buffer),
    decompress: (bytes: Buffer) => decompressFrame(bytes),
  });
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: () => Promise.reject(new Error("zstd is not written by this process")),
    decompress: (bytes: Buffer) => Promise.resolve(Buffer.from(decompressZstd(bytes))),
  });
}

/** Java frames snappy blocks with a header of its own (xerial); others send one bare block. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const xerialHeaderBytes = 16;

async function decompressSnappy(bytes: Buffer): Promise<Buffer> {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return Buffer.from(await uncompressSnappy(bytes));
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const size = bytes.readInt32BE(at);
    blocks.push(Buffer.from(await uncompressSnappy(bytes.subarray(at + 4, at + 4 + size))));
    at += 4 + size;
  }
  return Buffer.concat(blocks);
}
