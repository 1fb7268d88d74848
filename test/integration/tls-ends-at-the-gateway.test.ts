import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { ExampleGateway } from "../../gateway/src/example-gateway.test-suite.js";
import { type HaproxyServer, startHaproxy } from "../peers/haproxy.js";
import { describeWithPeers } from "../peers/peer.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { ExampleAuthority } from "../support/certificates.js";

describeWithPeers(["haproxy"], "behind a balancer that knows TCP only", () => {
  let folder: TemporaryFolder;
  let gateway: ExampleGateway;
  let balancer: HaproxyServer;
  let ca: string;
  let fingerprint: string;

  beforeAll(async () => {
    folder = await temporaryFolder("tls");
    const leaf = await (await ExampleAuthority.create()).issue({ hosts: ["push.example"] });
    ca = leaf.ca;
    fingerprint = createHash("sha256").update(new X509Certificate(leaf.cert).raw).digest("hex");
    const [certFile, keyFile] = [join(folder.path, "tls.crt"), join(folder.path, "tls.key")];
    writeFileSync(certFile, leaf.cert);
    writeFileSync(keyFile, leaf.key);
    gateway = await ExampleGateway.start({ config: { listen: { host: "127.0.0.1", port: 0, tls: { certFile, keyFile } } } });
    balancer = await startHaproxy((port) => tcpBalancer(port, gateway.gateway.addresses.client));
  });
  afterAll(async () => {
    await balancer?.stop();
    await gateway?.stop();
    await folder?.remove();
  });

  test("TLS ends at the gateway: clients see its certificate, and the balancer has none and passes bytes", async () => {
    const socket: TLSSocket = connectTls({ host: "127.0.0.1", port: balancer.port, servername: "push.example", ca });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(true);
    expect(createHash("sha256").update(socket.getPeerCertificate().raw).digest("hex")).toBe(fingerprint);
    socket.destroy();
  });

  test("a WebSocket over TLS is one with the gateway, from hello to close", async () => {
    const url = `wss://127.0.0.1:${balancer.port}/connect?token=${gateway.token()}&device=phone`;
    const tls = { ca, servername: "push.example" };
    const client = new WebSocket(url, tls);
    const [hello] = (await once(client, "message")) as [Buffer];
    expect(JSON.parse(String(hello))).toMatchObject({ type: "hello", server: "gw-1", device: "phone" });
    client.send('{"type":"ping"}');
    const [pong] = (await once(client, "message")) as [Buffer];
    expect(String(pong)).toBe('{"type":"pong"}');
    client.send("{");
    const [code] = (await once(client, "close")) as [number];
    expect(code).toBe(4400);
  });
});

/** Without a certificate, and without any word of HTTP. */
const tcpBalancer = (port: number, gateway: string): string => `
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen clients
  bind 127.0.0.1:${port}
  balance leastconn
  server gateway ${gateway}
`;
