import { promisify } from "node:util";
import zlib from "node:zlib";
import { limits } from "@pushfleet/protocol";
import { Decompress } from "fzstd";
import kafkajs from "kafkajs";
import { compressFrame, decompressFrame } from "lz4-napi";
import { compress as compressSnappy, uncompress as uncompressSnappy } from "snappy";

/** Go and Java producers compress with snappy by default; kafkajs only brings gzip and crashes on the others until they are plugged in. What
 *  could grow without bound when it is read is held to `limits.kafkaDecompressedBytesMax` (lz4 and snappy grow 255 and 21 times at most).
 *  zstd is only read: this process never writes it. */
export function plugInCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.GZIP] = () => ({
    compress: (encoder: Encoder) => gzip(encoder.buffer),
    decompress: (bytes: Buffer) => unzip(bytes, bounds),
  });
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: (encoder: Encoder) => compressSnappy(encoder.buffer),
    decompress: decompressSnappy,
  });
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: (encoder: Encoder) => compressFrame(encoder.buffer),
    decompress: (bytes: Buffer) => decompressFrame(bytes),
  });
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: () => Promise.reject(new Error("zstd is not written by this process")),
    decompress: decompressZstd,
  });
}

interface Encoder {
  readonly buffer: Buffer;
}

const bounds = { maxOutputLength: limits.kafkaDecompressedBytesMax };
const gzip = promisify<Buffer, Buffer>(zlib.gzip);
const unzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.unzip);

type NativeZstd = (bytes: Buffer, options: typeof bounds, done: (error: Error | null, bytes: Buffer) => void) => void;
const { zstdDecompress: nativeZstd } = zlib as { readonly zstdDecompress?: NativeZstd };

/** By the runtime where it can (Node ≥ 22.15), by script where it cannot. */
export function decompressZstd(bytes: Buffer): Promise<Buffer> {
  return nativeZstd === undefined ? decompressZstdByScript(bytes) : promisify(nativeZstd)(bytes, bounds);
}

export async function decompressZstdByScript(bytes: Buffer, bytesMax: number = limits.kafkaDecompressedBytesMax): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  new Decompress((chunk) => {
    size += chunk.length;
    if (size > bytesMax) throw new Error(`a batch is more than ${bytesMax} bytes when decompressed`);
    chunks.push(chunk);
  }).push(bytes, true);
  return Buffer.concat(chunks);
}

/** Java frames snappy blocks with a header of its own (xerial); others send one bare block. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const xerialHeaderBytes = 16;

export async function decompressSnappy(bytes: Buffer): Promise<Buffer> {
  if (!bytes.subarray(0, xerialMagic.length).equals(xerialMagic)) return asBuffer(await uncompressSnappy(bytes));
  const blocks: Buffer[] = [];
  for (let at = xerialHeaderBytes; at < bytes.length; ) {
    const size = bytes.readInt32BE(at);
    if (size < 0) throw new Error("a snappy block of a negative size");
    blocks.push(asBuffer(await uncompressSnappy(bytes.subarray(at + 4, at + 4 + size))));
    at += 4 + size;
  }
  return Buffer.concat(blocks);
}

function asBuffer(bytes: Buffer | string): Buffer {
  return typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
}
