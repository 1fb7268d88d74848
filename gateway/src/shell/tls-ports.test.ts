import { connect as connectTls, type TLSSocket } from "node:tls";
import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type TemporaryFolder, temporaryFolder } from "../../../test/peers/temporary-folder.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleAuthority, type PemPair } from "../../../test/support/certificates.js";
import { MountedSecret } from "../../../test/support/mounted-secret.js";
import { ExampleClient, ExampleGateway } from "../example-gateway.test-suite.js";

let folder: TemporaryFolder;
let authority: ExampleAuthority;
let secret: MountedSecret;
let example: ExampleGateway;
let clock: ManualClock;

const asFiles = ({ cert, key }: PemPair) => ({ "tls.crt": cert, "tls.key": key });
const issue = (host: string) => authority.issue({ hosts: ["localhost", host] });
const tls = () => ({ certFile: secret.path("tls.crt"), keyFile: secret.path("tls.key") });

beforeEach(async () => {
  folder = await temporaryFolder("client-tls");
  authority = await ExampleAuthority.create();
  secret = new MountedSecret(folder.path, asFiles(await issue("first.example")));
  clock = new ManualClock(Date.now());
});
afterEach(async () => {
  await example?.stop();
  await folder.remove();
});

const start = async (): Promise<void> => {
  example = await ExampleGateway.start({ clock, config: { listen: { host: "127.0.0.1", port: 0, extraPorts: [0], tls: tls() } } });
};
const client = (user: string): ExampleClient => {
  const url = `wss://localhost:${example.gateway.addresses.client.split(":")[1]}/connect?token=${example.token({ sub: user })}`;
  return new ExampleClient(url, { ca: authority.ca });
};

/** Names that a new connection is shown. */
function shownNames(): Promise<string> {
  return new Promise((resolve, reject) => {
    const port = Number(example.gateway.addresses.client.split(":")[1]);
    const socket: TLSSocket = connectTls({ host: "127.0.0.1", port, servername: "localhost", ca: authority.ca }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? "");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

const untilShown = (host: string) =>
  waitFor(
    async () => {
      clock.advance(limits.fileLookMs);
      return (await shownNames()).includes(host);
    },
    { what: `the certificate of ${host}` },
  );

describe("client ports with TLS", () => {
  test("show a renewed certificate to new connections; those that are open stay, and both are served", async () => {
    await start();
    const before = client("usr_1");
    await before.frame("hello");
    expect(await shownNames()).toContain("first.example");
    secret.write(asFiles(await issue("second.example")));
    await untilShown("second.example");
    const after = client("usr_2");
    await after.frame("hello");
    for (const one of [before, after]) {
      one.send({ type: "ping" });
      await one.frame("pong");
    }
    expect(example.gateway.status().connections).toBe(2);
    await example.gateway.stop({ kind: "close" });
    expect(await Promise.all([before.closed, after.closed])).toMatchObject([{ code: 1001 }, { code: 1001 }]);
  });

  test("keep the old certificate while the new one is not right", async () => {
    await start();
    const [one, other] = [await issue("second.example"), await issue("third.example")];
    secret.write(asFiles({ cert: one.cert, key: other.key }));
    for (let i = 0; i < 5; i++) {
      clock.advance(limits.fileLookMs);
      await new Promise((resolve) => setImmediate(resolve));
      expect(await shownNames()).toContain("first.example");
    }
    secret.write(asFiles(other));
    await untilShown("third.example");
  });

  test("let in everybody who connects while certificates change, at the second attempt at the latest", async () => {
    await start();
    let isOver = false;
    const attempts: number[] = [];
    const arrive = async (name: string): Promise<void> => {
      for (let i = 0; !isOver; i++) {
        for (let attempt = 1; ; attempt++) {
          const one = client(`${name}_${i}`);
          const hello = await Promise.race([one.frame("hello").then(() => true), one.closed.then(() => false)]);
          one.socket.terminate();
          if (!hello && attempt < 5) continue;
          attempts.push(hello ? attempt : Number.POSITIVE_INFINITY);
          break;
        }
      }
    };
    const arriving = Promise.all(["a", "b", "c", "d"].map(arrive));
    for (let i = 0; i < 10; i++) {
      secret.write(asFiles(await issue(`n${i}.example`)));
      await untilShown(`n${i}.example`);
    }
    isOver = true;
    await arriving;
    expect(attempts.length).toBeGreaterThan(20);
    expect(Math.max(...attempts)).toBeLessThanOrEqual(2);
  });

  test("a port that is taken, and files that are not right, are faults at the start", async () => {
    await start();
    const port = Number(example.gateway.addresses.client.split(":")[1]);
    const listen = { host: "127.0.0.1", port, tls: tls() };
    await expect(ExampleGateway.start({ config: { listen } })).rejects.toThrow(/is taken/);
    secret.write({ "tls.crt": "x", "tls.key": "y" });
    await expect(ExampleGateway.start({ config: { listen: { ...listen, port: 0 } } })).rejects.toThrow(/listen\.tls: .*tls\.crt/);
  });
});
