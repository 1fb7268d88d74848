import { createHmac } from "node:crypto";
import { limits, parseUserId } from "@pushfleet/protocol";
import { createLogger, ManualClock } from "@pushfleet/service";
import fc from "fast-check";
import { type JWTPayload, jwtVerify } from "jose";
import { afterAll, describe, expect, test } from "vitest";
import type { TokenVia } from "../core/token.js";
import { createAuthenticator } from "./authenticator.js";

// The oracle is jose's jwtVerify. Where we differ on purpose, the rule stands in `expected` below, and in a test of authenticator.test.ts.

const nowMs = 1_700_000_000_500;
const nowSeconds = Math.floor(nowMs / 1000);
const secret = "0123456789abcdef0123456789abcdef";
const issuer = "https://issuer.example";
const audience = "push";
const maxLifetimeSeconds = 300;

const configurations = {
  plain: { hs256Secret: secret, maxLifetimeSeconds },
  strict: { hs256Secret: secret, maxLifetimeSeconds, issuer, audience: [audience, "other"] },
  wide: { hs256Secret: secret, maxLifetimeSeconds, algorithms: ["HS256", "HS384", "HS512"] },
};
type Name = keyof typeof configurations;
const clock = new ManualClock(nowMs);
const logger = createLogger("gateway", "silent");
const authenticators = {
  plain: createAuthenticator(configurations.plain, { clock, logger }),
  strict: createAuthenticator(configurations.strict, { clock, logger }),
  wide: createAuthenticator(configurations.wide, { clock, logger }),
};
let accepted = 0;
let seen = 0;

async function joseAccepts(token: string, name: Name): Promise<JWTPayload | undefined> {
  const config = configurations[name];
  const options = {
    algorithms: "algorithms" in config ? config.algorithms : ["HS256"],
    currentDate: new Date(nowMs),
    clockTolerance: limits.tokenLeewaySeconds,
    requiredClaims: ["exp", "sub"],
    ...("issuer" in config ? { issuer: config.issuer, audience: config.audience } : {}),
  };
  try {
    return (await jwtVerify(token, new TextEncoder().encode(secret), options)).payload;
  } catch {
    return undefined;
  }
}

/** jose's verdict and, one by one, our own rules. */
async function expected(token: string, name: Name, via: TokenVia): Promise<object> {
  const claims = await joseAccepts(token, name);
  if (claims === undefined) return { kind: "rejected" };
  const { exp, iat, sub, jti } = claims as { exp: number; iat?: number; sub: string; jti?: unknown };
  if (token.length > limits.tokenBytesMax) return { kind: "rejected" };
  if (!Number.isFinite(exp) || exp <= nowSeconds) return { kind: "rejected" }; // infinite is not an expiry; no leeway
  if (parseUserId(sub) === undefined) return { kind: "rejected" };
  if (via === "query") {
    if (iat === undefined || !Number.isFinite(iat) || iat > nowSeconds + limits.tokenLeewaySeconds) return { kind: "rejected" };
    if (exp - iat > maxLifetimeSeconds) return { kind: "rejected" };
  }
  return { kind: "accepted", user: sub, tokenId: typeof jti === "string" ? jti : undefined, expiresAtMs: exp * 1000 };
}

async function compare(token: string, name: Name, via: TokenVia): Promise<void> {
  const verdict = authenticators[name].authenticate(token, via);
  const wanted = await expected(token, name, via);
  seen += 1;
  if ("kind" in wanted && wanted.kind === "accepted") accepted += 1;
  if (verdict instanceof Promise || verdict.kind === "rejected") expect({ kind: "rejected", token }).toEqual({ ...wanted, token });
  else expect(verdict).toMatchObject(wanted);
}

// ---- tokens, more or less right ----

type Members = readonly (readonly [name: string, json: string])[];
const member = (name: string, ...values: fc.Arbitrary<string>[]): fc.Arbitrary<readonly [string, string]> =>
  fc.tuple(fc.constant(name), fc.oneof(...values));
const json = (...values: unknown[]): fc.Arbitrary<string> => fc.constantFrom(...values.map((value) => JSON.stringify(value)));
const raw = (...values: string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
const often = (arbitrary: fc.Arbitrary<string>) => ({ arbitrary, weight: 12 });
const rarely = (arbitrary: fc.Arbitrary<string>) => ({ arbitrary, weight: 1 });
const mostly = (usual: fc.Arbitrary<string>, odd: fc.Arbitrary<string>) => fc.oneof(often(usual), rarely(odd));

const oddNumbers = raw(
  "1e999",
  "-1e999",
  "-1",
  "0",
  "1e3",
  "1.7e9",
  "-0",
  "1e-7",
  "12345678901234567890",
  "null",
  '"5"',
  "true",
  "[]",
  "{}",
);
const seconds = (low: number, high: number) =>
  fc.oneof(
    fc.integer({ min: nowSeconds + low, max: nowSeconds + high }).map(String),
    fc.double({ min: nowSeconds + low, max: nowSeconds + high, noNaN: true }).map(String),
  );

const headerMembers: fc.Arbitrary<Members> = fc
  .tuple(
    member(
      "alg",
      mostly(
        json("HS256"),
        fc.oneof(
          json("none", "HS384", "HS512", "RS256", "ES256", "hs256", "", 5, null, ["HS256"]),
          fc.string().map((s) => JSON.stringify(s)),
        ),
      ),
    ),
    fc.array(
      fc.oneof(
        member("typ", json("JWT", "at+jwt", 5, null)),
        member("kid", json("k1", 5, "../../key")),
        member("crit", json(["b64"], ["b64", "b64"], [], ["exp"], "b64", null, [5], [""], ["b64", "x"])),
        member("b64", json(true, false, null, "true")),
        member("jku", json("https://evil.example/jwks")),
        member("jwk", json({ kty: "oct", k: "AAAA" })),
        member("__proto__", json({ crit: ["x"] }, null)),
        member("alg", json("none", "HS256", "RS256")),
      ),
      { maxLength: 2 },
    ),
  )
  .map(([alg, rest]) => [alg, ...rest]);

const claimMembers: fc.Arbitrary<Members> = fc
  .tuple(
    member("sub", mostly(json("usr_42", "a@b.c:d-e"), json("", "ä", "a b", 42, null, ["usr_42"], "x".repeat(128), "x".repeat(129)))),
    member("exp", mostly(seconds(-10, 600), oddNumbers)),
    fc.array(
      fc.oneof(
        member("iat", mostly(seconds(-600, 20), oddNumbers)),
        member("nbf", mostly(seconds(-20, 20), oddNumbers)),
        member("iss", json(issuer, "https://issuer.example/", 5, [issuer], null)),
        member("aud", json(audience, "other", [audience], ["x", audience], ["x"], [], 5, null, [[audience]], "")),
        member("jti", json("t1", 5, null)),
        member("exp", fc.oneof(seconds(-10, 600), oddNumbers)),
        member("sub", json("usr_43", "")),
        member("__proto__", json({ exp: 1, sub: "x" })),
        member("data", fc.json()),
      ),
      { maxLength: 5 },
    ),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([sub, exp, rest, addressed, dated]) => [
    sub,
    exp,
    ...(dated ? ([["iat", String(nowSeconds - 5)]] as const) : []),
    ...rest,
    ...(addressed
      ? ([
          ["iss", JSON.stringify(issuer)],
          ["aud", JSON.stringify(audience)],
        ] as const)
      : []),
  ]);

const objectText = (members: Members, space: string) =>
  `{${members.map(([name, value]) => `${space}"${name}"${space}:${value}`).join(",")}}`;
const space = fc.constantFrom("", "", "", " ", "\n");
const bytesOf = (members: fc.Arbitrary<Members>): fc.Arbitrary<Buffer> =>
  fc.oneof(
    { weight: 20, arbitrary: fc.tuple(members, space).map(([list, gap]) => Buffer.from(objectText(list, gap))) },
    { weight: 1, arbitrary: members.map((list) => Buffer.from(`\ufeff${objectText(list, "")}`)) },
    { weight: 1, arbitrary: members.map((list) => Buffer.from(`${objectText(list, "")}}`)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(members, fc.uint8Array({ maxLength: 4 }))
        .map(([list, odd]) => Buffer.concat([Buffer.from('{"x":"'), odd, Buffer.from(`",${objectText(list, "").slice(1)}`)])),
    },
    { weight: 1, arbitrary: fc.oneof(fc.json(), fc.string()).map((text) => Buffer.from(text)) },
  );

/** Spellings of base64url, right and wrong. */
const spell = (bytes: Buffer, how: number, at: number): string => {
  const text = bytes.toString("base64url");
  switch (how) {
    case 1:
      return bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_"); // padded
    case 2:
      return bytes.toString("base64"); // the other alphabet
    case 3:
      return `${text}=`;
    case 4:
      return `${text}==`;
    case 5:
      return `${text.slice(0, at % (text.length + 1))}\n${text.slice(at % (text.length + 1))}`;
    case 6: {
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; // other left-over bits
      const last = alphabet.indexOf(text.at(-1) ?? "A");
      return text.slice(0, -1) + (alphabet[last ^ 1] ?? "");
    }
    case 7:
      return `${text}\u00e9`;
    case 8:
      return `${text.slice(0, 1)}=${text.slice(1)}`;
    default:
      return text;
  }
};
const spelling = fc.tuple(
  fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) }),
  fc.nat(200),
);

const hashes = { HS256: "sha256", HS384: "sha384", HS512: "sha512" } as const;
const signedToken = fc
  .record({
    header: bytesOf(headerMembers),
    claims: bytesOf(claimMembers),
    headerSpelling: spelling,
    claimsSpelling: spelling,
    signatureSpelling: spelling,
    key: fc.constantFrom(secret, secret, secret, secret, secret, "wrong", ""),
    alg: fc.constantFrom("HS256", "HS256", "HS256", "HS384", "HS512"),
    cut: fc.oneof({ weight: 15, arbitrary: fc.constant(64) }, { weight: 1, arbitrary: fc.nat(31) }),
  })
  .map((parts) => {
    const signed = `${spell(parts.header, ...parts.headerSpelling)}.${spell(parts.claims, ...parts.claimsSpelling)}`;
    const named = /"alg"\s*:"(HS\d+)"/.exec(parts.header.toString())?.[1] as keyof typeof hashes | undefined;
    const hash = hashes[named ?? (parts.alg as keyof typeof hashes)] ?? "sha256";
    const signature = createHmac(hash, parts.key).update(signed).digest().subarray(0, parts.cut);
    return `${signed}.${spell(signature, ...parts.signatureSpelling)}`;
  });

const mutated = fc
  .tuple(signedToken, fc.nat(3), fc.nat(400), fc.constantFrom(".", "A", "_", "=", "", " ", "é", "-", "\0", "eyJ9"))
  .map(([token, how, at, text]) => {
    const place = at % (token.length + 1);
    if (how === 0) return token;
    return how === 1 ? token.slice(0, place) + text + token.slice(place) : token.slice(0, place) + text + token.slice(place + how - 1);
  });

const via = fc.constantFrom<TokenVia>("query", "header", "message");
const name = fc.constantFrom<Name>("plain", "strict", "wide");
const runs = Number(process.env["PUSHFLEET_FUZZ_RUNS"] ?? 3000);

describe("a token gets the verdict that jose gives it", () => {
  test("whatever header, claims and spelling, signed with the secret or not", async () => {
    await fc.assert(fc.asyncProperty(signedToken, name, via, compare), { numRuns: runs });
  });

  test("altered anywhere after it was signed", async () => {
    await fc.assert(fc.asyncProperty(mutated, name, via, compare), { numRuns: runs });
  });

  test("when it is any text at all", async () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join(".")),
    );
    await fc.assert(fc.asyncProperty(text, name, via, compare), { numRuns: 300 });
  });

  afterAll(() => {
    expect(accepted / seen, "the tokens made are neither all right nor all wrong").toBeGreaterThan(0.05);
  });
});
