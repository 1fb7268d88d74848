import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gatewaySchema } from "@pushfleet/gateway";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { freePort, freePorts } from "../peers/free-port.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RunningProcess, startProcess } from "../peers/process.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { ExampleAuthority } from "../support/certificates.js";
import { Device, signToken } from "../support/device.js";
import { type Ended, runToEnd as run } from "../support/run-to-end.js";

const jwtSecret = "a-secret-that-no-log-shows-and-no-print";
const parts = {
  "pushfleet-gateway": fileURLToPath(new URL("../../gateway/bin/pushfleet-gateway.js", import.meta.url)),
  "pushfleet-router": fileURLToPath(new URL("../../router/bin/pushfleet-router.js", import.meta.url)),
  "pushfleet-operator": fileURLToPath(new URL("../../operator/bin/pushfleet-operator.js", import.meta.url)),
} as const;
type Part = keyof typeof parts;
const partNames = Object.keys(parts) as readonly Part[];

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder("processes");
});
afterAll(async () => await folder?.remove());

const configurationFile = (name: string, configuration: object): string => {
  const file = join(folder.path, name);
  writeFileSync(file, stringify(configuration));
  return file;
};

/** Each line as [path, the rest]. */
const faultsOf = (part: Part, { err }: Ended): readonly string[] =>
  err
    .trim()
    .split("\n")
    .map((line) => line.replace(`${part}: `, ""));

const gatewayConfiguration = (more: object = {}) => ({
  id: "gw-1",
  auth: { hs256Secret: jwtSecret },
  registry: { kind: "redis", url: "redis://user:p4ssw0rd@127.0.0.1:6379" },
  ...more,
});

describe.each(partNames)("%s", (part) => {
  const file = () => {
    if (part === "pushfleet-operator") return configurationFile("operator.yaml", { id: "op-1" });
    if (part === "pushfleet-gateway") return configurationFile("gateway.yaml", gatewayConfiguration());
    return configurationFile("router.yaml", { registry: gatewayConfiguration().registry, store: { kind: "memory" } });
  };

  test("--help and --version say what it is and end with 0", async () => {
    expect(await run(parts[part], ["--help"])).toMatchObject({ code: 0, out: expect.stringMatching(`^usage: ${part} -c FILE`), err: "" });
    expect(await run(parts[part], ["--version"])).toMatchObject({ code: 0, out: expect.stringMatching(`^${part} \\d+\\.\\d+\\.\\d+\n$`) });
  });

  test("an unknown option is told with the usage and ends with 2", async () => {
    const ended = await run(parts[part], ["--chekc"]);
    expect(ended).toMatchObject({ code: 2, out: "", err: expect.stringContaining("--chekc") });
    expect(ended.err).toContain(`usage: ${part}`);
  });

  test("--check says that a configuration is right, and starts nothing", async () => {
    expect(await run(parts[part], ["-c", file(), "--check"])).toEqual({ code: 0, out: `${part}: configuration is right\n`, err: "" });
  });

  test("--print-config shows what is in force, defaults and environment included, secrets masked", async () => {
    const prefix = part.toUpperCase().replaceAll("-", "_");
    const printed = await run(parts[part], ["-c", file(), "--print-config"], { [`${prefix}_ADMIN_PORT`]: "9999" });
    expect(printed).toMatchObject({ code: 0, err: "" });
    expect(printed.out).not.toMatch(new RegExp(`${jwtSecret}|p4ssw0rd`));
    expect(parse(printed.out)).toMatchObject({
      admin: { host: "127.0.0.1", port: 9999 },
      ...(part === "pushfleet-operator" ? { id: "op-1" } : { registry: { url: "redis://user:(secret)@127.0.0.1:6379" } }),
    });
  });

  test("a file that is not there, or is no YAML, is a fault", async () => {
    const missing = await run(parts[part], ["-c", "/nowhere.yaml"]);
    expect(missing).toMatchObject({ code: 2, err: expect.stringMatching(/-c: "\/nowhere\.yaml" is not right, expected a readable file/) });
    const broken = join(folder.path, "broken.yaml");
    writeFileSync(broken, "a: [");
    expect(await run(parts[part], ["-c", broken])).toMatchObject({ code: 2, err: expect.stringContaining("expected YAML") });
  });

  test("says to build it when it is not built", async () => {
    const bin = join(folder.path, part, "bin");
    mkdirSync(bin, { recursive: true });
    copyFileSync(parts[part], join(bin, "part.mjs"));
    expect(await run(join(bin, "part.mjs"), [])).toEqual({ code: 1, out: "", err: `${part} is not built yet: run make build\n` });
  });
});

describe("a bad configuration ends with 2 and all its faults, each with its path, the value and what would be right:", () => {
  test("of a gateway", async () => {
    const file = configurationFile("bad-gateway.yaml", {
      id: "gw 1",
      listen: { port: 99_999, prot: 1 },
      grpc: { host: "0.0.0.0" },
      auth: { hs256SecretFile: "/nowhere/secret" },
      registry: { kind: "redys" },
      router: { addresses: [] },
      limits: { maxConnection: 5 },
      frobnicate: true,
    });
    const ended = await run(parts["pushfleet-gateway"], ["-c", file], {
      PUSHFLEET_GATEWAY_WORKERS: "many",
      PUSHFLEET_GATEWAY_LISTEN_EXTRA_PORTS: "8081,eight",
      PUSHFLEET_GATEWAY_LISTN_HOST: "x",
    });
    expect([ended.code, ended.out]).toEqual([2, ""]);
    expect([...faultsOf("pushfleet-gateway", ended)].sort()).toEqual(
      [
        'PUSHFLEET_GATEWAY_LISTN_HOST: "(set)" is not right, expected PUSHFLEET_GATEWAY_LISTEN_HOST (there is no setting for this name)',
        'auth.hs256SecretFile: "/nowhere/secret" is not right, expected a readable file (ENOENT)',
        `frobnicate: true is not right, expected one of the known fields: ${Object.keys(gatewaySchema.properties).join(", ")}`,
        'grpc.host: "0.0.0.0" is not right, expected a loopback address, or grpc.tls beside it',
        'id: "gw 1" is not right, expected 1 to 128 bytes of [A-Za-z0-9._:@-]',
        'limits.maxConnection: 5 is not right, expected "maxConnections" (there is no field "maxConnection")',
        'listen.extraPorts[1]: "eight" is not right, expected an integer from 0 to 65535 (it is set by PUSHFLEET_GATEWAY_LISTEN_EXTRA_PORTS)',
        "listen.port: 99999 is not right, expected an integer from 0 to 65535",
        'listen.prot: 1 is not right, expected "port" (there is no field "prot")',
        'registry.kind: "redys" is not right, expected one of ["redis","memory"]',
        'router.addresses: [] is not right, expected at least one "host:port"',
        'workers: "many" is not right, expected an integer from 1 to 256 (it is set by PUSHFLEET_GATEWAY_WORKERS)',
      ].sort(),
    );
  });

  test("of an operator", async () => {
    const file = configurationFile("bad-operator.yaml", {
      kubeconfig: "/nowhere/config",
      watchNamespaces: ["a", "a"],
      lease: { durationSeconds: 5, renewDeadlineSeconds: 10 },
      imagess: {},
      images: { router: "router:1 " },
    });
    const ended = await run(parts["pushfleet-operator"], ["-c", file], { PUSHFLEET_OPERATOR_NAMESPACE: "Push Fleet" });
    expect([ended.code, ended.out]).toEqual([2, ""]);
    expect([...faultsOf("pushfleet-operator", ended)].sort()).toEqual(
      [
        'imagess: "a mapping" is not right, expected "images" (there is no field "imagess")',
        'images.router: "router:1 " is not right, expected a container image: 1 to 512 characters without spaces',
        'kubeconfig: "/nowhere/config" is not right, expected a readable file (ENOENT)',
        "lease.renewDeadlineSeconds: 10 is not right, expected less than lease.durationSeconds (5)",
        'namespace: "Push Fleet" is not right, expected a namespace (it is set by PUSHFLEET_OPERATOR_NAMESPACE)',
        'watchNamespaces: "a" is not right, expected each namespace once',
      ].sort(),
    );
  });

  test("of a router", async () => {
    const file = configurationFile("bad-router.yaml", {
      http: { host: "0.0.0.0" },
      grpc: { tls: { certFile: "/nowhere/tls.crt", keyFile: "/nowhere/tls.key", caFile: folder.path } },
      kafka: { brokers: ["nobroker"], topc: "a" },
      registry: { kind: "memory" },
      store: { kind: "memory" },
    });
    const ended = await run(parts["pushfleet-router"], ["-c", file], { PUSHFLEET_ROUTER_ADMIN_PORT: "-1" });
    expect([ended.code, ended.out]).toEqual([2, ""]);
    expect([...faultsOf("pushfleet-router", ended)].sort()).toEqual(
      [
        "admin.port: -1 is not right, expected an integer from 0 to 65535 (it is set by PUSHFLEET_ROUTER_ADMIN_PORT)",
        `grpc.tls.caFile: ${JSON.stringify(folder.path)} is not right, expected a readable file (not a file)`,
        'grpc.tls.certFile: "/nowhere/tls.crt" is not right, expected a readable file (ENOENT)',
        'grpc.tls.keyFile: "/nowhere/tls.key" is not right, expected a readable file (ENOENT)',
        'http.host: "0.0.0.0" is not right, expected a loopback address, or http.apiTokensFile beside it',
        'kafka.brokers[0]: "nobroker" is not right, expected "host:port" with a port from 1 to 65535',
        'kafka.topc: "a" is not right, expected "topic" (there is no field "topc")',
        'registry.kind: "memory" is not right, expected "redis": a registry in memory cannot be shared with gateways (pushfleet local does)',
        "store.allowVolatile: false is not right, expected true beside kafka: what is committed and only in memory is lost with the router",
      ].sort(),
    );
  });

  test("of a secret no value is shown", async () => {
    const environment = { PUSHFLEET_GATEWAY_AUTH_HS256_SECRET: jwtSecret, PUSHFLEET_GATEWAY_AUTH_HS256_SECRET_FILE: "/nowhere" };
    const ended = await run(parts["pushfleet-gateway"], ["--check"], environment);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain("auth.hs256SecretFile");
    expect(ended.err).not.toContain(jwtSecret);
  });
});

describeWithPeers(["redis-server"], "a running process", () => {
  let redis: RedisServer;
  const running: RunningProcess[] = [];
  const devices: Device[] = [];
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterEach(async () => {
    for (const device of devices.splice(0)) device.client.close();
    for (const one of running.splice(0)) await one.kill();
  });
  afterAll(async () => await redis?.stop());

  const host = "127.0.0.1";
  async function start(part: Part, configuration: object, env: Readonly<Record<string, string>> = {}): Promise<RunningProcess> {
    const one = await startProcess({
      name: part,
      command: process.execPath,
      args: [parts[part], "-c", configurationFile(`${part}-${running.length}.yaml`, configuration)],
      env,
      ready: (line) => line.includes('"msg":"ready"'),
    });
    running.push(one);
    return one;
  }
  const registry = () => ({ kind: "redis", url: redis.url, keyPrefix: "processes:" });
  const gatewayOn = ([client, admin, grpc]: readonly number[], more: object = {}) => ({
    ...gatewayConfiguration(),
    registry: registry(),
    listen: { host, port: client },
    admin: { host, port: admin },
    grpc: { host, port: grpc },
    workers: 1,
    drain: { reconnectsPerSecond: 100, deadlineMs: 4_000, stragglerGraceMs: 500 },
    ...more,
  });
  const routerOn = ([http, admin, grpc]: readonly number[]) => ({
    http: { host, port: http },
    admin: { host, port: admin },
    grpc: { host, port: grpc },
    registry: registry(),
    store: { kind: "memory" },
  });
  /** Every line is JSON, and none has anything that is nobody's business. */
  const expectCleanLogs = (one: RunningProcess, ...secrets: readonly string[]): void => {
    expect(one.lines().length).toBeGreaterThan(0);
    for (const line of one.lines()) {
      expect(JSON.parse(line)).toMatchObject({
        level: expect.any(String),
        time: expect.any(String),
        part: expect.any(String),
        msg: expect.any(String),
      });
    }
    for (const secret of [jwtSecret, ...secrets]) expect(one.lines().join("\n")).not.toContain(secret);
  };

  test("says that it is ready with its addresses, drains at SIGTERM, ends with 0, and logs JSON without tokens", async () => {
    const [routerPorts, gatewayPorts] = [await freePorts(3), await freePorts(3)];
    const router = await start("pushfleet-router", routerOn(routerPorts));
    const gateway = await start("pushfleet-gateway", gatewayOn(gatewayPorts, { router: { addresses: [`${host}:${routerPorts[2]}`] } }));
    expect(await router.waitForLog(({ msg }) => msg === "ready", { what: "ready" })).toMatchObject({
      part: "router",
      http: `${host}:${routerPorts[0]}`,
      admin: `${host}:${routerPorts[1]}`,
      grpc: `${host}:${routerPorts[2]}`,
    });
    expect(await gateway.waitForLog(({ msg }) => msg === "ready", { what: "ready" })).toMatchObject({
      part: "gateway",
      client: `${host}:${gatewayPorts[0]}`,
      admin: `${host}:${gatewayPorts[1]}`,
      grpc: `${host}:${gatewayPorts[2]}`,
    });
    const ready = await fetch(`http://${host}:${gatewayPorts[1]}/readyz`);
    expect(ready.status).toBe(200);

    const token = await signToken("usr_42", jwtSecret, 300);
    const device = new Device({ url: `ws://${host}:${gatewayPorts[0]}/connect`, user: "usr_42", device: "phone", token });
    devices.push(device);
    await waitFor(() => device.isLive, { what: "the device to connect" });
    const bad = await fetch(`http://${host}:${gatewayPorts[0]}/connect?token=${token}x`);
    expect(bad.status).toBe(426);

    gateway.signal("SIGTERM");
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    expect(gateway.logs().map(({ msg }) => msg)).toEqual(expect.arrayContaining(["ready", "stopping", "cordoned", "stopped"]));
    router.signal("SIGINT");
    expect(await router.exited).toEqual({ code: 0, signal: null });
    expectCleanLogs(gateway, token);
    expectCleanLogs(router, token);
  });

  test("of several workers says so too, and ends with 0", async () => {
    const ports = [...(await freePorts(2)), await adjacentPorts(2)];
    const gateway = await start("pushfleet-gateway", gatewayOn(ports, { workers: 2 }));
    expect(await gateway.waitForLog(({ msg }) => msg === "ready", { what: "ready" })).toMatchObject({
      client: `${host}:${ports[0]}`,
      grpc: [`${host}:${ports[2]}`, `${host}:${(ports[2] ?? 0) + 1}`],
    });
    gateway.signal("SIGTERM");
    expect(await gateway.exited).toEqual({ code: 0, signal: null });
    expectCleanLogs(gateway);
  });

  test("takes what the environment says over its file, lists by comma", async () => {
    const [client, admin, grpc, extra, other] = await freePorts(5);
    const file = gatewayOn([1, admin ?? 0, grpc ?? 0]);
    const gateway = await start("pushfleet-gateway", file, {
      PUSHFLEET_GATEWAY_LISTEN_PORT: String(client),
      PUSHFLEET_GATEWAY_LISTEN_EXTRA_PORTS: `${extra},${other}`,
      PUSHFLEET_GATEWAY_DRAIN_DEADLINE_MS: "0",
    });
    for (const port of [client, extra, other]) expect((await fetch(`http://${host}:${port}/healthz`)).status).toBe(200);
    expect((await gateway.stop()).code).toBe(0);
  });

  test.each<readonly [Part, number, RegExp]>([
    ["pushfleet-gateway", 0, /listen: .* is taken/],
    ["pushfleet-gateway", 1, /EADDRINUSE/],
    ["pushfleet-gateway", 2, /EADDRINUSE|address already in use|No address added/],
    ["pushfleet-router", 0, /EADDRINUSE/],
    ["pushfleet-router", 1, /EADDRINUSE/],
    ["pushfleet-router", 2, /EADDRINUSE|address already in use|No address added/],
  ])("%s ends with 1 and the reason when its port number %i is taken", async (part, index, reason) => {
    const ports = [...(await freePorts(3))];
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, host, resolve));
    ports[index] = (other.address() as { readonly port: number }).port;
    const configuration = part === "pushfleet-gateway" ? gatewayOn(ports) : routerOn(ports);
    const ended = await run(parts[part], ["-c", configurationFile("taken.yaml", configuration)]);
    expect(ended.code).toBe(1);
    const last = JSON.parse(ended.out.trim().split("\n").at(-1) ?? "{}") as {
      readonly msg?: string;
      readonly err?: { readonly message?: string };
    };
    expect(last).toMatchObject({ msg: "start failed", level: "error", err: { message: expect.stringMatching(reason) } });
    other.close();
  });

  test("serves gRPC by TLS with its own certificate, and ends with 1 when that is another one's", async () => {
    const authority = await ExampleAuthority.create();
    const ports = await freePorts(3);
    const tls = async (id: string) => {
      const { cert, key, ca } = await authority.issue({ uris: [`pushfleet://shop/demo/gateway/${id}`] });
      const file = (name: string, text: string): string => {
        writeFileSync(join(folder.path, `${id}-${name}`), text);
        return join(folder.path, `${id}-${name}`);
      };
      return { certFile: file("tls.crt", cert), keyFile: file("tls.key", key), caFile: file("ca.crt", ca) };
    };
    const grpc = { host: "0.0.0.0", port: ports[2] };
    const gateway = await start("pushfleet-gateway", gatewayOn(ports, { grpc: { ...grpc, tls: await tls("gw-1") } }));
    expect((await gateway.stop()).code).toBe(0);
    expectCleanLogs(gateway, "PRIVATE KEY");
    const file = configurationFile("other.yaml", gatewayOn(ports, { grpc: { ...grpc, tls: await tls("gw-2") } }));
    const ended = await run(parts["pushfleet-gateway"], ["-c", file]);
    expect([ended.code, ended.out]).toEqual([1, expect.stringMatching(/gateway\/gw-2, expected pushfleet:\/\/shop\/demo\/gateway\/gw-1/)]);
  });
});

/** The first of `count` ports that are free one behind the other. */
async function adjacentPorts(count: number): Promise<number> {
  for (;;) {
    const first = await freePort();
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isFree(first + index)));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
