import { createHmac, type webcrypto } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "@pushfleet/protocol";
import { createLogger, ManualClock } from "@pushfleet/service";
import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { formatResume, parseResume } from "../core/resume.js";
import type { TokenVia, Verdict } from "../core/token.js";
import { type AuthConfig, authFaults, createAuthenticator } from "./authenticator.js";

const nowMs = 1_700_000_000_000;
const nowSeconds = nowMs / 1000;
const secret = "dev-secret";
const clock = new ManualClock(nowMs);
const logger = createLogger("gateway", "silent");
const config: AuthConfig = { hs256Secret: secret, maxLifetimeSeconds: 300 };

const bytes = (text: string) => new TextEncoder().encode(text);
const good = { sub: "usr_42", iat: nowSeconds, exp: nowSeconds + 60 };
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function sign(claims: object, header: object = { alg: "HS256" }, key = secret, hash = "sha256"): string {
  const signed = `${base64url(header)}.${base64url(claims)}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest("base64url")}`;
}

const judge = async (token: string, via: TokenVia = "header", changes: Partial<AuthConfig> = {}) => {
  const authenticator = createAuthenticator({ ...config, ...changes }, { clock, logger });
  return authenticator.authenticate(token, via);
};
const rejection = (reason: string | RegExp) => ({ kind: "rejected", reason: expect.stringMatching(reason) });

describe("with a secret", () => {
  test("a good token tells user, token id and times, without waiting", () => {
    const verdict = createAuthenticator(config, { clock, logger }).authenticate(sign({ ...good, jti: "t1" }), "query");
    const issuedAtMs = nowMs;
    expect(verdict).toEqual({ kind: "accepted", user: "usr_42", tokenId: "t1", issuedAtMs, expiresAtMs: nowMs + 60_000 });
  });

  test("a token made by jose is accepted", async () => {
    const token = await new SignJWT({ sub: "usr_42" })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime(nowSeconds + 60)
      .sign(bytes(secret));
    expect(await judge(token)).toMatchObject({ kind: "accepted", user: "usr_42" });
  });

  test.each([
    ["none", new UnsecuredJWT(good).encode()],
    ["HS384, rightly signed", sign(good, { alg: "HS384" }, secret, "sha384")],
    ["RS256", sign(good, { alg: "RS256" })],
    ["hs256", sign(good, { alg: "hs256" })],
    ["constructor", sign(good, { alg: "constructor" })],
  ])("alg %s is rejected", async (_name, token) => {
    expect(await judge(token)).toEqual(rejection("algorithm not allowed"));
  });

  test("HS512 is accepted when the allow-list names it", async () => {
    const token = sign(good, { alg: "HS512" }, secret, "sha512");
    expect(await judge(token, "header", { algorithms: ["HS512"] })).toMatchObject({ kind: "accepted" });
    expect(await judge(sign(good), "header", { algorithms: ["HS512"] })).toEqual(rejection("algorithm not allowed"));
  });

  test("a key in the header is not looked at", async () => {
    const own = { kty: "oct", k: Buffer.from("mine").toString("base64url") };
    const header = { alg: "HS256", jwk: own, jku: "http://127.0.0.1:9/jwks", x5u: "http://127.0.0.1:9/x" };
    expect(await judge(sign(good, header, "mine"))).toEqual(rejection("signature"));
    expect(await judge(sign(good, header))).toMatchObject({ kind: "accepted" });
  });

  test("no reason repeats anything of the token", async () => {
    const marked = [sign({ ...good, sub: "no such user!" }), sign({ ...good, iss: "marker" }), "marker.marker.marker"];
    for (const token of marked) expect(JSON.stringify(await judge(token, "query", { issuer: "x" }))).not.toMatch(/marker|no such/);
  });
});

describe("what differs from jose on purpose", () => {
  test.each<[string, object, TokenVia, RegExp]>([
    ["exp is required", { sub: "usr_42" }, "header", /exp/],
    ["exp has no leeway, for the connection would be closed at once", { ...good, exp: nowSeconds }, "header", /expired/],
    ["sub is required", { exp: nowSeconds + 60 }, "header", /sub/],
    ["sub is an id", { ...good, sub: "a b" }, "header", /sub/],
    ["sub is at most 128 bytes", { ...good, sub: "x".repeat(129) }, "header", /sub/],
    ["in the query iat is required", { sub: "usr_42", exp: nowSeconds + 60 }, "query", /needs iat/],
    ["in the query a life is short", { ...good, exp: nowSeconds + 301 }, "query", /at most 300 s/],
    ["in the query iat is not in the future", { ...good, iat: nowSeconds + 6, exp: nowSeconds + 60 }, "query", /needs iat/],
  ])("%s", async (_rule, claims, via, reason) => {
    expect(await judge(sign(claims), via)).toEqual(rejection(reason));
  });

  test("an infinite exp is no expiry", async () => {
    const signed = `${base64url({ alg: "HS256" })}.${Buffer.from('{"sub":"usr_42","exp":1e999}').toString("base64url")}`;
    expect(await judge(`${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`)).toEqual(rejection("exp"));
  });

  test("a token is at most 8 KiB", async () => {
    expect(await judge(sign({ ...good, data: "x".repeat(8192) }))).toEqual(rejection("too long"));
  });

  test("a long life is fine in the header and in a message", async () => {
    const token = sign({ ...good, exp: nowSeconds + 86_400 });
    expect(await judge(token, "header")).toMatchObject({ kind: "accepted" });
    expect(await judge(token, "message")).toMatchObject({ kind: "accepted" });
  });

  test("nbf of an issuer whose clock is 5 s ahead is honoured, 6 s is not", async () => {
    expect(await judge(sign({ ...good, nbf: nowSeconds + 5 }))).toMatchObject({ kind: "accepted" });
    expect(await judge(sign({ ...good, nbf: nowSeconds + 6 }))).toEqual(rejection("not valid yet"));
  });
});

describe("configuration", () => {
  const folder = mkdtempSync(join(tmpdir(), "authenticator-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(["\n", "\r\n", ""])("a secret file may end in %j", async (end) => {
    const file = join(folder, "secret");
    writeFileSync(file, `${secret}${end}`);
    expect(await judge(sign(good), "header", { hs256Secret: undefined, hs256SecretFile: file })).toMatchObject({ kind: "accepted" });
  });

  test("a missing or empty file is told at start", () => {
    const file = join(folder, "empty");
    writeFileSync(file, "\n");
    const create = (changes: Partial<AuthConfig>) => () => createAuthenticator({ maxLifetimeSeconds: 300, ...changes }, { clock, logger });
    expect(create({ hs256SecretFile: join(folder, "absent") })).toThrow(/hs256SecretFile: expected a readable file/);
    expect(create({ hs256SecretFile: file })).toThrow(/is empty/);
    expect(create({ jwksFile: join(folder, "absent") })).toThrow(/jwksFile: expected a readable file/);
  });

  test("another secret in the file takes the place of the old one, for tokens and resumes, without a restart; an empty one does not", async () => {
    const file = join(folder, "followed");
    writeFileSync(file, "first\n");
    const ownClock = new ManualClock(nowMs);
    const authenticator = createAuthenticator({ maxLifetimeSeconds: 300, hs256SecretFile: file }, { clock: ownClock, logger });
    const kinds = () =>
      ["first", "second"].map((key) => (authenticator.authenticate(sign(good, undefined, key), "header") as Verdict).kind);
    const resume = formatResume("usr_42" as never, "phone" as never, nowMs, authenticator.resumeKeys);
    expect(kinds()).toEqual(["accepted", "rejected"]);

    writeFileSync(file, "second\n");
    await waitFor(
      () => {
        ownClock.advance(limits.fileLookMs);
        return kinds()[1] === "accepted";
      },
      { what: "the second secret" },
    );
    expect(kinds()).toEqual(["rejected", "accepted"]);
    expect(parseResume(resume, nowMs, authenticator.resumeKeys)).toEqual({ kind: "invalid" });

    const warned = vi.spyOn(logger, "warn");
    writeFileSync(file, "\n");
    await waitFor(
      () => {
        ownClock.advance(limits.fileLookMs);
        return warned.mock.calls.length > 0;
      },
      { what: "the empty file to be told" },
    );
    expect(kinds()).toEqual(["rejected", "accepted"]);
    authenticator.stop();
  });

  test.each<[string, Partial<AuthConfig>, readonly string[]]>([
    ["no key at all", {}, ["auth"]],
    ["two secrets", { hs256Secret: "a", hs256SecretFile: "b" }, ["auth.hs256SecretFile"]],
    ["two sets", { jwksUrl: "https://x.example", jwksFile: "b" }, ["auth.jwksFile"]],
    ["no URL", { jwksUrl: "file:///etc/passwd" }, ["auth.jwksUrl"]],
    [
      "algorithms without their key",
      { hs256Secret: "a", algorithms: ["HS256", "RS256", "none"] },
      ["auth.algorithms[1]", "auth.algorithms[2]"],
    ],
    ["a secret", { hs256Secret: "a", algorithms: ["HS512"] }, []],
    ["both", { hs256Secret: "a", jwksUrl: "http://127.0.0.1:1/", algorithms: ["HS256", "ES256"] }, []],
  ])("faults: %s", (_name, changes, paths) => {
    expect(authFaults({ maxLifetimeSeconds: 300, ...changes }).map((fault) => fault.path)).toEqual(paths);
  });

  test("a resume made by one gateway is good at another with the same secret, and at no other", () => {
    const one = createAuthenticator(config, { clock, logger }).resumeKeys;
    const same = createAuthenticator(config, { clock, logger }).resumeKeys;
    const other = createAuthenticator({ ...config, resumeSecret: "another" }, { clock, logger }).resumeKeys;
    const resume = formatResume("usr_42" as never, "phone" as never, nowMs, one);
    expect(parseResume(resume, nowMs, same)).toMatchObject({ kind: "valid", user: "usr_42", device: "phone" });
    expect(parseResume(resume, nowMs, other)).toEqual({ kind: "invalid" });
    expect(one.sameText("é".repeat(43), "a".repeat(43))).toBe(false);
  });
});

describe("with a key set", () => {
  const algorithms = ["RS256", "PS256", "ES256", "EdDSA"] as const;
  const keys = new Map<string, { readonly privateKey: webcrypto.CryptoKey; readonly jwk: JWK }>();
  let published: JWK[] = [];
  let requests = 0;
  let status = 200;
  const server = createServer((_request, response) => {
    requests += 1;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ keys: published }));
  });
  let url = "";

  const make = async (kid: string, alg: string): Promise<void> => {
    const pair = await generateKeyPair(alg, { extractable: true });
    keys.set(kid, { privateKey: pair.privateKey, jwk: { ...(await exportJWK(pair.publicKey)), kid, alg } });
  };
  const publish = (...kids: string[]) => {
    published = kids.map((kid) => keys.get(kid)?.jwk ?? {});
  };
  const token = async (alg: string, kid: string, header: object = { kid }) =>
    new SignJWT({ ...good }).setProtectedHeader({ alg, ...header }).sign(keys.get(kid)?.privateKey ?? bytes(""));
  const open = (ownClock: ManualClock, changes: Partial<AuthConfig> = {}) =>
    createAuthenticator({ maxLifetimeSeconds: 300, jwksUrl: url, ...changes }, { clock: ownClock, logger });

  beforeAll(async () => {
    for (const alg of algorithms) await make(alg, alg);
    await make("next", "ES256");
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => server.close());

  test.each(algorithms)("a token signed with %s is accepted, altered it is not", async (alg) => {
    publish(...algorithms);
    const authenticator = open(new ManualClock(nowMs));
    const text = await token(alg, alg);
    expect(await authenticator.authenticate(text, "header")).toMatchObject({ kind: "accepted", user: "usr_42" });
    const [header, , signature] = text.split(".");
    const forged = `${header}.${base64url({ ...good, sub: "usr_1" })}.${signature}`;
    expect(await authenticator.authenticate(forged, "header")).toEqual(rejection("signature"));
    authenticator.stop();
  });

  test("a public key is no secret: HS256 signed with it is rejected", async () => {
    publish(...algorithms);
    const authenticator = open(new ManualClock(nowMs), { hs256Secret: secret });
    const text = sign(good, { alg: "HS256", kid: "RS256" }, JSON.stringify(keys.get("RS256")?.jwk));
    expect(authenticator.authenticate(text, "header")).toEqual(rejection("signature"));
    expect(authenticator.authenticate(sign(good), "header")).toMatchObject({ kind: "accepted" });
    authenticator.stop();
  });

  test("without kid every fitting key is tried; a kid that is not text fits none", async () => {
    publish("next", "ES256");
    const authenticator = open(new ManualClock(nowMs));
    expect(await authenticator.authenticate(await token("ES256", "ES256", {}), "header")).toMatchObject({ kind: "accepted" });
    const odd = `${base64url({ alg: "ES256", kid: 5 })}.${base64url(good)}.AAAA`;
    expect(await authenticator.authenticate(odd, "header")).toEqual(rejection("no key"));
    authenticator.stop();
  });

  test("a new key is fetched when a token names it, and unknown ids cause no more than one fetch in 30 s", async () => {
    publish("ES256");
    const ownClock = new ManualClock(nowMs);
    const authenticator = open(ownClock);
    expect(await authenticator.authenticate(await token("ES256", "ES256"), "header")).toMatchObject({ kind: "accepted" });
    publish("ES256", "next");
    const next = await token("ES256", "next");
    const before = requests;
    for (let i = 0; i < 20; i++) expect(await authenticator.authenticate(next, "header")).toEqual(rejection("no key"));
    expect(requests).toBe(before);
    ownClock.advance(30_000);
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => authenticator.authenticate(next, "header")));
    for (const verdict of verdicts) expect(verdict).toMatchObject({ kind: "accepted" });
    expect(requests).toBe(before + 1);
    authenticator.stop();
  });

  test("while the issuer is away known keys serve on, and a gateway that never had any says so", async () => {
    publish("ES256");
    const ownClock = new ManualClock(nowMs);
    const authenticator = open(ownClock);
    const known = await token("ES256", "ES256");
    await authenticator.authenticate(known, "header");
    status = 503;
    ownClock.advance(60 * 60_000);
    ownClock.setWall(nowMs);
    expect(await authenticator.authenticate(known, "header")).toMatchObject({ kind: "accepted" });
    const fresh = open(ownClock);
    const before = requests;
    for (let i = 0; i < 5; i++) expect(await fresh.authenticate(known, "header")).toEqual({ kind: "unavailable", retryAfterMs: 5000 });
    expect(requests - before).toBeLessThanOrEqual(2); // the fetch of its start, and that of the other's background refresh
    status = 200;
    ownClock.advance(5_000);
    ownClock.setWall(nowMs);
    expect(await fresh.authenticate(known, "header")).toMatchObject({ kind: "accepted" });
    authenticator.stop();
    fresh.stop();
  });

  test.each([
    ["not a key set", "[]"],
    ["too large", JSON.stringify({ keys: [], filler: "x".repeat(1024 * 1024) })],
    ["too many keys", JSON.stringify({ keys: Array.from({ length: 101 }, () => ({ kty: "EC" })) })],
    ["not JSON", "{"],
  ])("a set that is %s counts as unavailable", async (_name, body) => {
    const bad = createServer((_request, response) => response.end(body));
    await new Promise<void>((resolve) => bad.listen(0, "127.0.0.1", resolve));
    const badUrl = `http://127.0.0.1:${(bad.address() as AddressInfo).port}/`;
    const authenticator = open(new ManualClock(nowMs), { jwksUrl: badUrl });
    expect(await authenticator.authenticate(await token("ES256", "ES256"), "header")).toMatchObject({ kind: "unavailable" });
    authenticator.stop();
    bad.close();
  });

  test("a file serves as well", async () => {
    const folder = mkdtempSync(join(tmpdir(), "authenticator-"));
    const file = join(folder, "jwks.json");
    publish("EdDSA");
    writeFileSync(file, JSON.stringify({ keys: published }));
    const authenticator = open(new ManualClock(nowMs), { jwksUrl: undefined, jwksFile: file });
    expect(await authenticator.authenticate(await token("EdDSA", "EdDSA"), "message")).toMatchObject({ kind: "accepted" });
    authenticator.stop();
    rmSync(folder, { recursive: true });
  });

  test("a key that goes from a file is good for nothing from then on, without a restart", async () => {
    const folder = mkdtempSync(join(tmpdir(), "authenticator-"));
    const file = join(folder, "jwks.json");
    publish("EdDSA");
    writeFileSync(file, JSON.stringify({ keys: published }));
    const ownClock = new ManualClock(nowMs);
    const authenticator = open(ownClock, { jwksUrl: undefined, jwksFile: file });
    const signed = await token("EdDSA", "EdDSA");
    expect(await authenticator.authenticate(signed, "message")).toMatchObject({ kind: "accepted" });
    writeFileSync(file, JSON.stringify({ keys: [] }));
    await waitFor(
      async () => {
        ownClock.advance(limits.fileLookMs);
        return (await authenticator.authenticate(signed, "message")).kind === "rejected";
      },
      { what: "the key to go" },
    );
    authenticator.stop();
    rmSync(folder, { recursive: true });
  });
});
