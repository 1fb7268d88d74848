import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "@pushfleet/protocol";
import { type Clock, createLogger, ManualClock, systemClock } from "@pushfleet/service";
import { afterEach, describe, expect, test, vi } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { post } from "../router-world.test-suite.js";
import { type HttpSource, startHttpSource } from "./http-source.js";
import type { Published } from "./publisher.js";

let source: HttpSource | undefined;
let folder: string | undefined;
afterEach(async () => {
  await source?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true });
  folder = undefined;
});

const accepted: Published = { status: 202, body: '{"accepted":[]}' };
const bodies: string[] = [];

const logger = createLogger("router", "silent");

interface StartOptions {
  readonly tokens?: string;
  readonly publish?: (body: Buffer) => Promise<Published>;
  readonly clock?: Clock;
}

async function start(options: StartOptions = {}): Promise<string> {
  let apiTokensFile: string | undefined;
  if (options.tokens !== undefined) {
    folder = mkdtempSync(join(tmpdir(), "pushfleet-router-"));
    apiTokensFile = join(folder, "tokens");
    writeFileSync(apiTokensFile, options.tokens);
  }
  bodies.length = 0;
  const publish = async (body: Buffer): Promise<Published> => {
    bodies.push(body.toString());
    return accepted;
  };
  source = await startHttpSource({
    host: "127.0.0.1",
    port: 0,
    apiTokensFile,
    clock: systemClock,
    logger,
    publish,
    giveUp: () => {},
    ...options,
  });
  return source.address;
}

/** Sends `text` as it is, and gives all that came back once the other side has ended or `until` is in it. */
function exchange(address: string, text: string, until: string): Promise<string> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host);
    let got = "";
    socket.on("data", (chunk) => {
      got += String(chunk);
      if (got.includes(until)) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(got));
    socket.write(text);
  });
}

const head = (more: readonly string[]): string => ["POST /v1/notifications HTTP/1.1", "host: localhost", ...more, "", ""].join("\r\n");

test("a body is handed on as it came, and its answer given back with its headers", async () => {
  const body = '{"data":"\\u00e9 é"}';
  expect(await post(await start(), body)).toMatchObject({ status: 202, body: { accepted: [] } });
  expect(bodies).toEqual([body]);
  await source?.stop();
  const address = await start({ publish: async () => ({ status: 429, body: "{}", retryAfterMs: 1500 }) });
  expect(await post(address, "{}")).toMatchObject({ status: 429, headers: { "retry-after": "2", "content-type": "application/json" } });
});

describe("without tokens", () => {
  test.each<[string, Record<string, string>, number]>([
    ["localhost", { host: "localhost:8081" }, 202],
    ["the IPv4 loopback", { host: "127.0.0.1" }, 202],
    ["the IPv6 loopback", { host: "[::1]:8081" }, 202],
    ["a page of this machine", { origin: "http://localhost:8090" }, 202],
    ["a rebound name", { host: "evil.example:8081" }, 403],
    ["a name that only begins like ours", { host: "localhost.evil.example" }, 403],
    ["what is no name", { host: "%" }, 403],
    ["a foreign page", { origin: "https://evil.example" }, 403],
    ["a page without an origin", { origin: "null" }, 403],
  ])("%s is answered as it should be", async (_, headers, status) => {
    expect((await post(await start(), "{}", { headers })).status).toBe(status);
  });

  test("only a loopback listener starts", async () => {
    const options = {
      host: "0.0.0.0",
      port: 0,
      apiTokensFile: undefined,
      clock: systemClock,
      logger,
      publish: async () => accepted,
      giveUp: () => {},
    };
    await expect(startHttpSource(options)).rejects.toThrow(/apiTokensFile/);
  });
});

describe("with tokens", () => {
  const tokens = "# ours\nfirst-token\n\n  second-token  \n";
  test.each<[string, string | undefined, number]>([
    ["the first", "Bearer first-token", 202],
    ["another", "bearer second-token", 202],
    ["none", undefined, 401],
    ["an empty one", "Bearer ", 401],
    ["one that begins like ours", "Bearer first-toke", 401],
    ["a comment of the file", "Bearer #", 401],
    ["another scheme", "Basic first-token", 401],
  ])("%s is answered as it should be", async (_, authorization, status) => {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await post(await start({ tokens }), "{}", { headers });
    expect(answer.status).toBe(status);
    if (status === 401)
      expect(answer).toMatchObject({ body: { error: { code: "unauthenticated" } }, headers: { "www-authenticate": "Bearer" } });
  });

  test("Host and Origin are the caller's business", async () => {
    const headers = { authorization: "Bearer first-token", host: "push.example", origin: "https://app.example" };
    expect((await post(await start({ tokens }), "{}", { headers })).status).toBe(202);
  });

  test("a file without any is refused", async () => {
    await expect(start({ tokens: "# none\n" })).rejects.toThrow(/no token/);
  });

  test("one that is added to the file is good, one that goes is not any more, without a restart; a file without any changes nothing", async () => {
    const clock = new ManualClock();
    const address = await start({ tokens, clock });
    const statusOf = async (token: string) => (await post(address, "{}", { headers: { authorization: `Bearer ${token}` } })).status;
    const passes = async () => {
      clock.advance(limits.fileLookMs);
      await new Promise((resolve) => setImmediate(resolve));
    };
    writeFileSync(join(folder ?? "", "tokens"), "second-token\nthird-token\n");
    await waitFor(
      async () => {
        await passes();
        return (await statusOf("third-token")) === 202;
      },
      { what: "the third token" },
    );
    expect([await statusOf("first-token"), await statusOf("second-token")]).toEqual([401, 202]);

    const warned = vi.spyOn(logger, "warn");
    writeFileSync(join(folder ?? "", "tokens"), "# none\n");
    await waitFor(
      async () => {
        await passes();
        return warned.mock.calls.length;
      },
      { what: "the empty file to be told" },
    );
    expect(await statusOf("third-token")).toBe(202);
  });
});

describe("a body above the limit", () => {
  const large = limits.publishBodyBytesMax + 1;
  test("is refused though the client is still sending it, and the connection can be used again", async () => {
    const address = await start();
    const first = `${head([`content-length: ${8 * large}`])}${"x".repeat(8 * large)}`;
    const got = await exchange(address, `${first}${head(["content-length: 2"])}{}`, "202");
    expect(got.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 413", "HTTP/1.1 202"]);
    expect(got).toContain('"code":"too_large"');
    expect(bodies).toEqual(["{}"]);
  });

  test("of unknown length is refused when it has become too large", async () => {
    const chunk = "x".repeat(large);
    const text = `${head(["transfer-encoding: chunked"])}${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`;
    expect(await exchange(await start(), text, "too_large")).toContain("HTTP/1.1 413");
    expect(bodies).toEqual([]);
  });

  test("is not asked for when the client asks first", async () => {
    const got = await exchange(await start(), head([`content-length: ${large}`, "expect: 100-continue"]), "too_large");
    expect(got).toMatch(/^HTTP\/1\.1 413/);
    const small = await exchange(await start(), `${head(["content-length: 2", "expect: 100-continue"])}{}`, "accepted");
    expect(small).toMatch(/^HTTP\/1\.1 100 Continue/);
  });
});

test("answers come in the order of the requests of a connection, whichever is ready first", async () => {
  const waiting: (() => void)[] = [];
  const address = await start({
    publish: (body) =>
      new Promise((resolve) => {
        waiting.push(() => resolve({ status: 202, body: `{"echo":${String(body)}}` }));
        if (waiting.length === 3) for (const go of waiting.reverse()) go();
      }),
  });
  const got = await exchange(address, [1, 2, 3].map((n) => `${head(["content-length: 1"])}${n}`).join(""), '"echo":3');
  expect(got.match(/"echo":\d/g)).toEqual(['"echo":1', '"echo":2', '"echo":3']);
});

test("a stop waits for what is being answered, and for nothing else", async () => {
  const waiting: (() => void)[] = [];
  const address = await start({ publish: () => new Promise((resolve) => waiting.push(() => resolve(accepted))) });
  const answer = post(address, "{}");
  const go = await waitFor(() => waiting[0], { what: "the request" });
  const startedMs = performance.now();
  const stopped = source?.stop();
  go();
  expect((await answer).status).toBe(202);
  await stopped;
  expect(performance.now() - startedMs).toBeLessThan(2_000); // a kept-alive connection would be 5 s
});

test("a client that goes away in the middle of its body leaves nothing behind", async () => {
  const address = await start();
  const [host, port] = address.split(":");
  await new Promise<void>((resolve) => {
    const socket = connect(Number(port), host, () => socket.write(`${head(["content-length: 100"])}half`, () => socket.destroy()));
    socket.on("close", () => resolve());
  });
  expect((await post(address, "{}")).status).toBe(202);
  expect(bodies).toEqual(["{}"]);
});

test("a publish that throws is answered 500, with no words of ours lost to the client", async () => {
  const address = await start({ publish: () => Promise.reject(new Error("a bug")) });
  expect(await post(address, "{}")).toMatchObject({ status: 500, body: { error: { code: "failed" } } });
});
