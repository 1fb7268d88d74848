import { connect as connectHttp2, createSecureServer, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTls } from "node:tls";
import { type Client, type Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { ExampleAuthority, type LeafOptions } from "../../test/support/certificates.js";
import { holdCertificate, type Tls, type TlsPem } from "./fleet-certificate.js";
import type { ExpectedPeer } from "./fleet-identity.js";
import { callUnary, routerService, v1 } from "./grpc.js";
import { bindGrpcServer, createGrpcClient, createGrpcServer } from "./grpc-transport.js";

let authority: ExampleAuthority;
let stranger: ExampleAuthority;
beforeAll(async () => {
  authority = await ExampleAuthority.create();
  stranger = await ExampleAuthority.create();
});

const clients: Client[] = [];
const servers: Pick<Server, "forceShutdown">[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) server.forceShutdown();
});

const router = "pushfleet://shop/demo/router/demo-router";
const gateway = "pushfleet://shop/demo/gateway/demo-default-0";
const issue = (uri: string, options: LeafOptions = {}): Promise<TlsPem> => authority.issue({ uris: [uri], ...options });

/** A router's server that counts what reaches it. */
async function serve(tls: Tls): Promise<{ readonly address: string; readonly syncs: string[] }> {
  const syncs: string[] = [];
  const server = createGrpcServer();
  servers.push(server);
  const parsed = {
    ...routerService.sync,
    requestDeserialize: (bytes: Buffer) => {
      const request = routerService.sync.requestDeserialize(bytes);
      syncs.push(request.user ?? "");
      return request;
    },
  };
  server.addService(
    { ...routerService, sync: parsed },
    {
      acknowledge: () => {},
      emit: () => {},
      publish: () => {},
      sync: (_: ServerUnaryCall<v1.SyncRequest, v1.SyncReply>, done: sendUnaryData<v1.SyncReply>) => done(null, new v1.SyncReply()),
    },
  );
  return { address: `127.0.0.1:${await bindGrpcServer(server, "127.0.0.1", 0, tls)}`, syncs };
}

function dial(address: string, tls: Tls, expected: ExpectedPeer = { role: "router" }): Client {
  const client = createGrpcClient(address, tls, { expect: expected });
  clients.push(client);
  return client;
}

/** What came of a sync: "ok", or the code and its details. */
async function sync(client: Client, user = "usr_42"): Promise<string> {
  try {
    await callUnary(client, routerService.sync, new v1.SyncRequest({ user }), 5_000);
    return "ok";
  } catch (cause) {
    const { code, details } = cause as { readonly code: number; readonly details: string };
    return `${status[code]}: ${details}`;
  }
}

describe("I7: a server with TLS", () => {
  test("takes a call of the role that may make it, from its own fleet", async () => {
    const { address, syncs } = await serve(await issue(router));
    expect(await sync(dial(address, await issue(gateway)))).toBe("ok");
    expect(syncs).toEqual(["usr_42"]);
  });

  test.each<readonly [string, () => Promise<TlsPem>, RegExp]>([
    ["of another fleet", () => issue("pushfleet://shop/other/gateway/g"), /^7: .*is of another fleet than shop\/demo/],
    ["of a fleet of the same name in another namespace", () => issue("pushfleet://bar/demo/gateway/g"), /^7: .*another fleet/],
    ["of a role that may not make this call", () => issue(router), /^7: .*not for the role router/],
    ["of the operator, which asks routers nothing", () => issue("pushfleet://shop/demo/operator/operator"), /^7: .*not for the role/],
    ["that is nobody of a fleet", () => authority.issue({ hosts: ["gateway.example"] }), /^16: /],
    ["with two identities", () => authority.issue({ uris: [gateway, "pushfleet://shop/other/gateway/g"] }), /^16: /],
    ["with an identity inside another name", () => authority.issue({ hosts: [`x, URI:${gateway}`] }), /^16: /],
    ["whose role is no role", () => issue("pushfleet://shop/demo/admin/a"), /^16: /],
    ["whose certificate is over", () => issue(gateway, { validMs: -60_000 }), /^cut/],
    ["of another authority", () => stranger.issue({ uris: [gateway] }), /^cut/],
  ])("refuses a caller %s, and reads nothing of it", async (_, make, refusal) => {
    const { address, syncs } = await serve(await issue(router));
    expect(await rawCall(address, await make())).toMatch(refusal);
    expect(syncs).toEqual([]);
  });

  test("cuts a caller without a certificate, or with one that it signed itself, in the handshake", async () => {
    const { address } = await serve(await issue(router));
    expect(await rawCall(address, {})).toMatch(/^cut/);
    const self = await ExampleAuthority.create("self");
    expect(await rawCall(address, await self.issue({ uris: [gateway] }))).toMatch(/^cut/);
  });
});

describe("I7: a client with TLS", () => {
  test.each<readonly [string, string, ExpectedPeer, RegExp]>([
    ["the id that it looked up", gateway, { role: "gateway", id: "demo-default-0" }, /^PERMISSION_DENIED/], // the server's own word: it was reached
    [
      "another id",
      gateway,
      { role: "gateway", id: "demo-default-1" },
      /^UNAVAILABLE: .*another one.*demo-default-0, expected .*demo-default-1/,
    ],
    ["another role", gateway, { role: "router" }, /^UNAVAILABLE: .*another one/],
    [
      "another fleet",
      "pushfleet://shop/other/gateway/demo-default-0",
      { role: "gateway", id: "demo-default-0" },
      /^UNAVAILABLE: .*another one/,
    ],
    ["nobody of a fleet", "", { role: "gateway" }, /^UNAVAILABLE: .*names no process/],
  ])("meets %s: it goes on, or hangs up before it sends anything", async (_, uri, expected, outcome) => {
    const caller = await issue("pushfleet://shop/demo/operator/operator");
    const pem = uri === "" ? await authority.issue({ hosts: ["localhost"] }) : await issue(uri);
    const address = uri === "" ? await serveUnnamed(pem) : (await serve(pem)).address;
    expect(await sync(dial(address, caller, expected))).toMatch(outcome);
  });

  test("does not speak to a server of another authority, nor to one whose certificate is over", async () => {
    const caller = await issue(gateway);
    const foreign = await serve(await stranger.issue({ uris: [router] }));
    expect(await sync(dial(foreign.address, caller))).toMatch(/^UNAVAILABLE/);
    const over = await serve(await issue(router, { validMs: -60_000 }));
    expect(await sync(dial(over.address, caller))).toMatch(/^UNAVAILABLE: .*expired/);
  });
});

test("new handshakes use a renewed certificate and authority on both sides; open connections stay, and no call is lost", async () => {
  const serverSide = holdCertificate(await issue(router));
  const clientSide = holdCertificate(await issue(gateway));
  const { address } = await serve(serverSide);
  const steady = dial(address, clientSide);
  const outcomes: Promise<string>[] = [];
  const ask = async (client: Client): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      outcomes.push(sync(client));
      if (i % 10 === 0) await outcomes.at(-1);
    }
  };
  await ask(steady);

  // As an operator does it: first both authorities are trusted, then each leaf is of the new one, then the old one goes.
  const next = await ExampleAuthority.create("next");
  const both = `${authority.ca}\n${next.ca}`;
  const oldServer = await issue(router);
  const oldClient = await issue(gateway);
  const newServer = await next.issue({ uris: [router] });
  const newClient = await next.issue({ uris: [gateway] });
  for (const [forServer, forClient] of [
    [
      { ...oldServer, ca: both },
      { ...oldClient, ca: both },
    ],
    [
      { ...newServer, ca: both },
      { ...oldClient, ca: both },
    ],
    [
      { ...newServer, ca: both },
      { ...newClient, ca: both },
    ],
    [newServer, newClient],
  ] as const) {
    const under = ask(steady);
    expect([serverSide.renew(forServer, Date.now()), clientSide.renew(forClient, Date.now())]).toEqual([undefined, undefined]);
    const fresh = dial(address, clientSide);
    await ask(fresh);
    await under;
  }
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["ok"]));
  expect(await sync(dial(address, await issue(gateway)))).toMatch(/^UNAVAILABLE/); // of the authority that is gone
  expect(await rawCall(address, {})).toMatch(/^cut/); // a renewal does not let in who has none
});

test.each<readonly [string, () => Promise<TlsPem>, RegExp]>([
  ["of another identity", () => issue(router), /is that of pushfleet:\/\/shop\/demo\/router/],
  ["with another one's key", async () => ({ ...(await issue(gateway)), key: (await issue(gateway)).key }), /another one's/],
  ["that is half written", async () => ({ ...(await issue(gateway)), cert: "-----BEGIN CERT" }), /./],
  ["that is over", () => issue(gateway, { validMs: -1 }), /over/],
  ["without an identity", () => authority.issue({}), /URI:pushfleet/],
])("a renewal %s is not taken", async (_, make, reason) => {
  const held = holdCertificate(await issue(gateway));
  expect(held.renew(await make(), Date.now())).toMatch(reason);
  const { address } = await serve(await issue(router));
  expect(await sync(dial(address, held))).toBe("ok");
});

/** A sync by HTTP/2, from a client that trusts any server: "<grpc-status>: <grpc-message>", or "cut: …" when the connection ended before. */
async function rawCall(address: string, { cert, key }: { readonly cert?: string; readonly key?: string }): Promise<string> {
  const [host, port] = address.split(":");
  const pair = cert === undefined || key === undefined ? {} : { cert, key };
  const socket = connectTls({ host, port: Number(port), ...pair, ALPNProtocols: ["h2"], rejectUnauthorized: false });
  return await new Promise((resolve) => {
    const session = connectHttp2(`https://${address}`, { createConnection: () => socket });
    const end = (outcome: string): void => {
      session.destroy();
      resolve(outcome);
    };
    socket.on("error", (cause) => end(`cut: ${cause.message}`));
    socket.on("close", () => end("cut: closed"));
    session.on("error", (cause) => end(`cut: ${cause.message}`));
    const request = session.request({
      ":method": "POST",
      ":path": routerService.sync.path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const answered = (headers: IncomingHttpHeaders): void => {
      const code = headers["grpc-status"];
      if (code !== undefined) end(`${code}: ${decodeURIComponent(String(headers["grpc-message"] ?? ""))}`);
    };
    request.on("error", () => {}); // the session says it
    request.on("response", answered);
    request.on("trailers", answered);
    request.resume();
    request.end(Buffer.from([0, 0, 0, 0, 0]));
  });
}

/** Anything with TLS whose certificate is no process' of a fleet: `bindGrpcServer` would not serve with it. */
async function serveUnnamed({ cert, key, ca }: TlsPem): Promise<string> {
  const server = createSecureServer({ cert, key, ca });
  servers.push({ forceShutdown: () => void server.close() });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as { readonly port: number }).port}`;
}
