const byteOrderMark = "\ufeff";

/** Text of UTF-8 `bytes`, without a leading byte order mark; undefined when they are not UTF-8 (RFC 3629: no overlong form, no surrogate,
 *  nothing above U+10FFFF), as `new TextDecoder("utf-8", { fatal: true })` decides. For short inputs: at most `limits.tokenBytesMax`. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] ?? 0) >= 0x80) return decodeMixed(bytes);
  }
  return String.fromCharCode.apply(undefined, bytes as unknown as number[]); // spreading would copy
}

function decodeMixed(bytes: Uint8Array): string | undefined {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    const length = sequenceLength(first);
    if (length === 0 || at + length > bytes.length) return undefined;
    let point = length === 1 ? first : first & (0x7f >> length);
    for (let i = 1; i < length; i++) {
      const next = bytes[at + i] ?? 0;
      if ((next & 0xc0) !== 0x80) return undefined;
      point = (point << 6) | (next & 0x3f);
    }
    if (!isScalar(point, length)) return undefined;
    text += String.fromCodePoint(point);
    at += length;
  }
  return text.startsWith(byteOrderMark) ? text.slice(1) : text;
}

/** 0: `first` does not start a sequence. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return 2;
  if (first < 0xf0) return 3;
  return first < 0xf5 ? 4 : 0;
}

function isScalar(point: number, length: number): boolean {
  if (length === 3) return point >= 0x800 && (point < 0xd800 || point > 0xdfff);
  return length !== 4 || (point >= 0x10000 && point <= 0x10ffff);
}
