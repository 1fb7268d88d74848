/** Reads base64url as jose does (the forgiving base64 of the WHATWG Infra standard, with `-` and `_`): padding only where it completes the
 *  last group, ASCII white space skipped, left-over bits ignored. Pure, for there is no decoder in ES2023. */

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const invalid = 255;

const sextets = new Uint8Array(128).fill(invalid);
for (let i = 0; i < alphabet.length; i++) sextets[alphabet.charCodeAt(i)] = i;

const whiteSpace = /[\t\n\f\r ]/g;

/** The bytes that `text` stands for; undefined when it is not base64url. */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  return decodeExact(text) ?? decodeExact(normalize(text));
}

/** Without white space and padding: the rare spellings. */
function normalize(text: string): string {
  const packed = text.replace(whiteSpace, "");
  return packed.length % 4 === 0 ? packed.replace(/={1,2}$/, "") : packed;
}

function decodeExact(text: string): Uint8Array | undefined {
  const length = text.length;
  if (length % 4 === 1) return undefined;
  const bytes = new Uint8Array((length * 3) >> 2);
  let at = 0;
  let bits = 0;
  let held = 0;
  for (let i = 0; i < length; i++) {
    const sextet = sextets[text.charCodeAt(i)] ?? invalid;
    if (sextet === invalid) return undefined;
    bits = (bits << 6) | sextet;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >> held) & 0xff;
      bits &= (1 << held) - 1;
    }
  }
  return bytes;
}
