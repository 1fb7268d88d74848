/** Finds where values stand in JSON text, so that they can be sliced out as they were written: `9007199254740993`, `1.0` and
 *  `"\u00e9"` stay what they were. The text must already have been accepted by JSON.parse: nothing is validated here. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

/** Span of the value of the last member called `name` of the object starting at `from` (white space allowed before it). */
export function memberSpan(text: string, name: string, from = 0): Span | undefined {
  let at = skipSpace(text, from);
  if (text.charCodeAt(at) !== openBrace) return undefined;
  at = skipSpace(text, at + 1);
  let found: Span | undefined;
  while (at < text.length && text.charCodeAt(at) !== closeBrace) {
    const keyEnd = endOfString(text, at);
    const matches = keyIs(text, at, keyEnd, name);
    at = skipSpace(text, keyEnd);
    if (text.charCodeAt(at) !== colon) return undefined;
    const start = skipSpace(text, at + 1);
    const end = endOfValue(text, start);
    if (matches) found = { start, end };
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === comma) at = skipSpace(text, at + 1);
  }
  return found;
}

/** Spans of the elements of the array starting at `from`. */
export function elementSpans(text: string, from = 0): readonly Span[] {
  const spans: Span[] = [];
  let at = skipSpace(text, from);
  if (text.charCodeAt(at) !== openBracket) return spans;
  at = skipSpace(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== closeBracket) {
    const end = endOfValue(text, at);
    spans.push({ start: at, end });
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === comma) at = skipSpace(text, at + 1);
  }
  return spans;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const unit = text.charCodeAt(at);
    if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return at;
    at++;
  }
}

/** `start` is at the opening quote; the result is just behind the closing one. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const close = text.indexOf('"', at);
    if (close < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(close - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return close + 1;
    at = close + 1;
  }
  return text.length;
}

function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === quote) return endOfString(text, start);
  if (first !== openBrace && first !== openBracket) return endOfScalar(text, start);
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit === quote) {
      at = endOfString(text, at);
      continue;
    }
    if (unit === openBrace || unit === openBracket) depth++;
    if (unit === closeBrace || unit === closeBracket) depth--;
    at++;
    if (depth === 0) return at;
  }
  return at;
}

/** A number, true, false or null ends at white space or at what follows a value. */
function endOfScalar(text: string, start: number): number {
  let at = start;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit === comma || unit === closeBrace || unit === closeBracket || unit <= 0x20) return at;
    at++;
  }
  return at;
}

/** Keys may be written with escapes (`"d\u0061ta"`): those few go through JSON.parse. */
function keyIs(text: string, start: number, end: number, name: string): boolean {
  const raw = text.slice(start + 1, end - 1);
  if (raw === name) return true;
  return raw.includes("\\") && JSON.parse(`"${raw}"`) === name;
}
