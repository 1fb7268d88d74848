import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBase64Url } from "./base64url.js";
import { type ClaimRules, checkClaims, decodeToken } from "./token.js";
import { decodeUtf8 } from "./utf8-text.js";

const encode = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const token = (header: unknown, claims: unknown, signature = "AAAA") => `${encode(header)}.${encode(claims)}.${signature}`;

describe("decodeToken", () => {
  test("takes a token apart", () => {
    const text = token({ alg: "HS256", kid: "k" }, { sub: "u" });
    expect(decodeToken(text)).toEqual({
      kind: "token",
      algorithm: "HS256",
      keyId: "k",
      header: { alg: "HS256", kid: "k" },
      claims: { sub: "u" },
      signingInput: text.slice(0, text.lastIndexOf(".")),
      signature: new Uint8Array(3),
    });
  });

  test.each([
    ["empty", ""],
    ["two parts", "a.b"],
    ["four parts", "a.b.c.d"],
    ["five parts (a JWE)", "a.b.c.d.e"],
    ["header not base64url", "!.e30.AA"],
    ["header not JSON", token("{", {})],
    ["header a list", token([], {})],
    ["no alg", token({}, {})],
    ["alg not text", token({ alg: 5 }, {})],
    ["crit of an unknown extension", token({ alg: "HS256", crit: ["exp"], exp: 1 }, {})],
    ["crit with b64 false", token({ alg: "HS256", crit: ["b64"], b64: false }, {})],
    ["crit without its member", token({ alg: "HS256", crit: ["b64"] }, {})],
    ["claims null", token({ alg: "HS256" }, null)],
    ["claims of a half surrogate", `${encode({ alg: "HS256" })}.${Buffer.from('{"a":"\xed\xa0\x80"}', "latin1").toString("base64url")}.AA`],
    ["signature in the other alphabet", token({ alg: "HS256" }, {}, "+/==")],
    ["100,000 brackets", token({ alg: "HS256" }, "[".repeat(4000))],
    ["too long", token({ alg: "HS256" }, { x: "x".repeat(limits.tokenBytesMax) })],
  ])("rejects: %s", (_name, text) => {
    expect(decodeToken(text).kind).toBe("rejected");
  });

  test("never throws, whatever the text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => void decodeToken(text)));
  });
});

describe("checkClaims", () => {
  const now = 1_700_000_000;
  const good = { sub: "usr_42", exp: now + 60 };
  const rules: ClaimRules = { issuer: undefined, audiences: undefined, maxLifetimeSeconds: 300 };

  test.each<[string, object, Partial<ClaimRules>, boolean]>([
    ["plain", {}, {}, true],
    ["unasked iss and aud", { iss: 5, aud: {} }, {}, true],
    ["iss right", { iss: "me" }, { issuer: "me" }, true],
    ["iss wrong", { iss: "you" }, { issuer: "me" }, false],
    ["iss absent", {}, { issuer: "me" }, false],
    ["iss a list", { iss: ["me"] }, { issuer: "me" }, false],
    ["aud text", { aud: "a" }, { audiences: ["a"] }, true],
    ["aud second of a list", { aud: ["x", "a"] }, { audiences: ["a"] }, true],
    ["aud one of several", { aud: ["b"] }, { audiences: ["a", "b"] }, true],
    ["aud other", { aud: ["x"] }, { audiences: ["a"] }, false],
    ["aud part of a text", { aud: "xax" }, { audiences: ["a"] }, false],
    ["aud absent", {}, { audiences: ["a"] }, false],
    ["exp text", { exp: "1800000000" }, {}, false],
    ["exp a fraction", { exp: now + 0.5 }, {}, true],
    ["nbf text", { nbf: "0" }, {}, false],
    ["nbf null", { nbf: null }, {}, false],
    ["iat text", { iat: "0" }, {}, false],
    ["jti not text", { jti: 5 }, {}, true],
  ])("%s", (_name, claims, changes, accepted) => {
    const verdict = checkClaims({ ...good, ...claims }, { ...rules, ...changes }, now * 1000, "header");
    expect(verdict.kind).toBe(accepted ? "accepted" : "rejected");
  });
});

describe("base64url", () => {
  test("reads what Buffer writes, padded or not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = Buffer.from(bytes).toString("base64url");
        expect(decodeBase64Url(text)).toEqual(bytes);
        expect(decodeBase64Url(text + "=".repeat((4 - (text.length % 4)) % 4))).toEqual(bytes);
      }),
    );
  });

  test("decides like atob", () => {
    const atobUrl = (text: string): string | undefined => {
      if (/[+/]/.test(text)) return undefined;
      try {
        return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
      } catch {
        return undefined;
      }
    };
    const unit = fc.constantFrom(..."AZaz09-_=+/ \n\v\u00a0é");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 9 }), (text) => {
        const bytes = decodeBase64Url(text);
        expect(bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1")).toBe(atobUrl(text));
      }),
      { numRuns: 5000 },
    );
  });
});

describe("UTF-8", () => {
  const fatal = (bytes: Uint8Array): string | undefined => {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return undefined;
    }
  };

  test("every sequence of two bytes, and the edges of longer ones, decide like TextDecoder", () => {
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        const pair = Uint8Array.of(a, b);
        if (decodeUtf8(pair) !== fatal(pair)) expect.fail(`bytes ${a}, ${b}`);
      }
    }
    const edges = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
    const edge = fc.array(fc.constantFrom(...edges), { maxLength: 8 }).map((list) => Uint8Array.from(list));
    fc.assert(
      fc.property(edge, (bytes) => void expect(decodeUtf8(bytes)).toBe(fatal(bytes))),
      { numRuns: 5000 },
    );
  });

  test("every text comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => void expect(decodeUtf8(Buffer.from(text))).toBe(fatal(Buffer.from(text)))),
    );
  });
});
