import { createSecureContext } from "node:tls";
import { bindGrpcServer, createGrpcServer, gatewayService, type TlsPem, type v1 } from "@pushfleet/service";
import { expect, onTestFinished, test, vi } from "vitest";
import { createAuthority } from "../certificates/authority.js";
import { issueInMemory } from "../certificates/index.js";
import type { Fleet } from "../objects/index.js";
import { StatusConnection } from "./status-connection.js";

const fleet = { namespace: "push", name: "demo" } as Fleet;
const pod = "demo-default-0-1a2b3c4d";

async function certificates(): Promise<(role: "gateway" | "operator", id: string) => Promise<TlsPem>> {
  const made = await createAuthority({ namespace: "push", fleet: "demo", nowMs: Date.now() });
  const authorities = { current: { ...made, origin: "made" as const }, settledAtMs: 0 };
  return (role, id) => issueInMemory(fleet, authorities, role, id, Date.now());
}

type Call = { write(status: v1.IGatewayStatus): void; end(): void; getPeer(): string };

/** A gateway as gRPC has it, with the certificate of `pod`; its streams are told to `onCall`. */
async function startGateway(pem: TlsPem, onCall: (call: Call) => void): Promise<string> {
  const server = createGrpcServer();
  server.addService({ watchStatus: gatewayService.watchStatus }, { watchStatus: onCall });
  const port = await bindGrpcServer(server, "127.0.0.1", 0, pem);
  onTestFinished(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

async function dial(address: string, own: TlsPem, options: { readonly id?: string; readonly silenceMs?: number } = {}) {
  const { id = pod, silenceMs } = options;
  const identity = { namespace: "push", fleet: "demo", role: "operator", id: "operator" } as const;
  const context = createSecureContext({ ...own });
  const connection = new StatusConnection({
    address,
    tls: () => ({ context, identity, expect: { role: "gateway", id } }),
    ...(silenceMs === undefined ? {} : { silenceMs }),
  });
  onTestFinished(() => connection.close());
  const statuses: v1.IGatewayStatus[] = [];
  const onEnd = vi.fn();
  connection.watch((status) => statuses.push(status), onEnd);
  return { connection, statuses, onEnd };
}

const soon = { timeout: 5_000, interval: 10 };

test("a gateway's statuses come as it sends them, and a new watch goes over the same connection", async () => {
  const issue = await certificates();
  const calls: Call[] = [];
  const peers: string[] = [];
  const address = await startGateway(await issue("gateway", pod), (call) => {
    calls.push(call);
    peers.push(call.getPeer());
  });
  const { connection, statuses, onEnd } = await dial(address, await issue("operator", "operator"));
  await vi.waitFor(() => expect(calls).toHaveLength(1), soon);
  for (let count = 1; count <= 50; count += 1) calls[0]?.write({ gateway: pod, connections: count, bindingLimit: "x".repeat(count * 100) });
  await vi.waitFor(() => expect(statuses.map((one) => one.connections)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1)), soon);
  expect(onEnd).not.toHaveBeenCalled();
  calls[0]?.end();
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce(), soon);
  connection.watch((status) => statuses.push(status), onEnd);
  await vi.waitFor(() => expect(calls).toHaveLength(2), soon);
  expect(peers[1]).toBe(peers[0]);
  connection.close();
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledTimes(2), soon);
});

test("another pod at the address is hung up on before it is asked anything", async () => {
  const issue = await certificates();
  const onCall = vi.fn();
  const address = await startGateway(await issue("gateway", "demo-default-1-1a2b3c4d"), onCall);
  const { onEnd, statuses } = await dial(address, await issue("operator", "operator"));
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce(), soon);
  expect(onCall).not.toHaveBeenCalled();
  expect(statuses).toEqual([]);
});

test("nobody there, another authority, or silence: the watch ends once", async () => {
  const [issue, others] = [await certificates(), await certificates()];
  const own = await issue("operator", "operator");
  const nobody = await dial("127.0.0.1:1", own);
  const stranger = await dial(await startGateway(await others("gateway", pod), vi.fn()), own);
  const silent = await dial(await startGateway(await issue("gateway", pod), vi.fn()), own, { silenceMs: 100 });
  for (const { onEnd } of [nobody, stranger, silent]) await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce(), soon);
});
