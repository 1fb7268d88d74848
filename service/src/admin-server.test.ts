import { createServer } from "node:http";
import { Counter, collectDefaultMetrics, Registry } from "prom-client";
import { afterEach, expect, test } from "vitest";
import { type AdminServer, type Readiness, startAdminServer } from "./admin-server.js";

let server: AdminServer | undefined;
afterEach(() => server?.stop());

test("says healthy, ready or why not, and metrics", async () => {
  const metrics = new Registry();
  new Counter({ name: "pushfleet_test_total", help: "test", registers: [metrics] }).inc(3);
  collectDefaultMetrics({ register: metrics });
  let readiness: Readiness = { kind: "ready" };
  server = await startAdminServer({ host: "127.0.0.1", port: 0, metrics, readiness: () => readiness });
  const { address } = server;
  const get = async (path: string) => {
    const response = await fetch(`http://${address}${path}`);
    return [response.status, await response.text()] as const;
  };
  expect(await get("/healthz")).toEqual([200, "ok\n"]);
  expect(await get("/readyz")).toEqual([200, "ready\n"]);
  readiness = { kind: "not_ready", reason: "cordoned" };
  expect(await get("/readyz?x=1")).toEqual([503, "cordoned\n"]);
  expect((await get("/metrics"))[1]).toContain("pushfleet_test_total 3");
  expect((await get("/"))[0]).toBe(404);
});

test("a port that is taken is told", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  const start = startAdminServer({ host: "127.0.0.1", port, metrics: new Registry(), readiness: () => ({ kind: "ready" }) });
  await expect(start).rejects.toThrow(/EADDRINUSE/);
  taken.close();
});
