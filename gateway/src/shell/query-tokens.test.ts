import { createMemoryRegistry } from "@pushfleet/registry";
import { type Logger, systemClock } from "@pushfleet/service";
import { afterEach, expect, test } from "vitest";
import { createGateway } from "../create-gateway.js";
import { ExampleClient, ExampleGateway, ExampleRouter, exampleConfig, signToken } from "../example-gateway.test-suite.js";

let example: ExampleGateway | undefined;
afterEach(async () => {
  await example?.stop();
  example = undefined;
});

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

test("a JWT in the URL or in the first message authenticates a connection as the user it names", async () => {
  example = await ExampleGateway.start();
  await example.open(`?token=${example.token({ sub: "usr_1" })}&device=a`).frame("hello");
  const client = example.open("?device=b");
  await client.opened;
  client.send({ type: "auth", token: example.token({ sub: "usr_2" }) });
  await client.frame("hello");
  expect(await example.entryOf("usr_1", "a")).toBeDefined();
  expect(await example.entryOf("usr_2", "b")).toBeDefined();
});

test("by default a token in the URL may live five minutes, and not a second more", async () => {
  example = await ExampleGateway.start();
  const livesFor = (seconds: number): string => `?token=${example?.token({ iat: nowSeconds(), exp: nowSeconds() + seconds })}`;
  await example.open(livesFor(300)).frame("hello");
  expect(await example.open(livesFor(301)).closed).toMatchObject({ code: 4401, reason: expect.stringContaining("at most 300 s") });
});

test("a token is judged on connect, before a hello: forged, expired and for another audience are closed with 4401", async () => {
  example = await ExampleGateway.start({ config: { auth: { hs256Secret: "a-secret-for-tests", audience: "push" } } });
  const at = nowSeconds();
  const good = example.token({ aud: "push" });
  const [header, claims] = good.split(".");
  const bad = [
    signToken({ sub: "usr_42", aud: "push" }, Date.now(), "another secret"),
    `${header}.${Buffer.from(JSON.stringify({ sub: "usr_1", aud: "push", iat: at, exp: at + 60 })).toString("base64url")}.${good.split(".")[2]}`,
    `${header}.${claims}.`,
    example.token({ aud: "push", exp: at - 1 }),
    example.token({ aud: "other" }),
  ];
  for (const token of bad) {
    const client = example.open(`?token=${token}`);
    expect(await client.closed).toMatchObject({ code: 4401 });
    expect(client.frames).toEqual([]);
  }
  await example.open(`?token=${good}`).frame("hello");
});

test("a token in the URL, which proxies may log, is in no line of the gateway's own log; good, bad or refused", async () => {
  const lines: string[] = [];
  const registry = createMemoryRegistry({ clock: systemClock });
  await registry.start();
  const config = exampleConfig({ limits: { handshakesPerSecond: 2 } });
  const gateway = await createGateway(config, { registry, router: new ExampleRouter(), clock: systemClock, logger: loggerTo(lines) });
  const tokens = ["good", "bad"].map((key) => signToken({ sub: "usr_42" }, Date.now(), key === "good" ? undefined : key));
  const url = `ws://${gateway.addresses.client}/connect`;
  const clients = [...tokens, ...tokens, ...tokens].map((token) => new ExampleClient(`${url}?token=${token}&device=phone`));
  await clients[0]?.frame("hello");
  await Promise.all(clients.slice(1).map((client) => client.closed));
  await gateway.stop({ kind: "close" });
  expect(lines.some((line) => line.includes("refused"))).toBe(true);
  for (const part of tokens.flatMap((token) => token.split("."))) {
    expect(lines.filter((line) => line.includes(part))).toEqual([]);
  }
});

/** Every level is on. */
function loggerTo(lines: string[]): Logger {
  const log = (...told: readonly unknown[]): void => {
    lines.push(told.map((one) => (one instanceof Error ? String(one.stack) : JSON.stringify(one))).join(" "));
  };
  const logger = {
    level: "trace",
    isLevelEnabled: () => true,
    child: () => logger,
    trace: log,
    debug: log,
    info: log,
    warn: log,
    error: log,
  };
  return logger as unknown as Logger;
}
