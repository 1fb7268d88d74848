import type { ServerResponse } from "node:http";
import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../../../test/peers/wait-for.js";
import { answer, closeAll, connect, type Handler, kubeConfigFor, type Seen, serve } from "../../../../test/support/answering-server.js";
import type { KubeConfigSource } from "./credentials.js";
import { resources } from "./resources.js";
import type { KubernetesApi } from "./types.js";

afterEach(closeAll);

const key = { namespace: "a", name: "b" };
const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { ...key, uid: "u", resourceVersion: "5" }, data: { x: "1" } };
const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...key, uid: "u", resourceVersion: "5" } };

describe("a request to an API server", () => {
  test.each<[string, (api: KubernetesApi) => Promise<unknown>, Partial<Seen>]>([
    ["get", (api) => api.get(resources.configMaps, key), { method: "GET", url: "/behind/api/v1/namespaces/a/configmaps/b" }],
    [
      "create",
      (api) => api.create(resources.configMaps, configMap),
      {
        method: "POST",
        url: "/behind/api/v1/namespaces/a/configmaps?fieldManager=pushfleet-operator",
        contentType: "application/json",
        body: JSON.stringify(configMap),
      },
    ],
    [
      "apply",
      (api) => api.apply(resources.configMaps, configMap),
      {
        method: "PATCH",
        url: "/behind/api/v1/namespaces/a/configmaps/b?fieldManager=pushfleet-operator&force=true",
        contentType: "application/apply-patch+yaml",
      },
    ],
    [
      "apply of a status, tried only",
      (api) => api.apply(resources.pods, pod, { subresource: "status", dryRun: true }),
      { url: "/behind/api/v1/namespaces/a/pods/b/status?fieldManager=pushfleet-operator&force=true&dryRun=All" },
    ],
    ["replace", (api) => api.replace(resources.configMaps, configMap), { method: "PUT", body: JSON.stringify(configMap) }],
    [
      "merge patch",
      (api) => api.patch(resources.configMaps, key, { data: { x: null } }),
      { method: "PATCH", contentType: "application/merge-patch+json", body: '{"data":{"x":null}}' },
    ],
    [
      "strategic patch of a status",
      (api) => api.patch(resources.pods, key, {}, { strategic: true, subresource: "status" }),
      {
        url: "/behind/api/v1/namespaces/a/pods/b/status?fieldManager=pushfleet-operator",
        contentType: "application/strategic-merge-patch+json",
      },
    ],
    [
      "delete with preconditions",
      (api) => api.delete(resources.pods, key, { uid: "u", resourceVersion: "5", gracePeriodSeconds: 0, propagation: "Background" }),
      {
        method: "DELETE",
        url: "/behind/api/v1/namespaces/a/pods/b",
        body: JSON.stringify({
          apiVersion: "v1",
          kind: "DeleteOptions",
          preconditions: { uid: "u", resourceVersion: "5" },
          gracePeriodSeconds: 0,
          propagationPolicy: "Background",
        }),
      },
    ],
    [
      "page of a list",
      (api) => api.list(resources.pods, { namespace: "a", labelSelector: "x=y", limit: 5, continueToken: "t" }),
      { url: "/behind/api/v1/namespaces/a/pods?labelSelector=x%3Dy&limit=5&continue=t" },
    ],
  ])("%s is written as the API asks", async (_, call, expected) => {
    const { port, seen } = await serve(answer(200, configMap));
    await call(connect(kubeConfigFor(port)).api);
    expect(seen).toEqual([expect.objectContaining({ ...expected, authorization: "Bearer t0" })]);
  });

  test("many at once share a bounded number of connections, which live on", async () => {
    const { port, connections } = await serve(answer(200, configMap));
    const { api, metrics } = connect(kubeConfigFor(port));
    for (let round = 0; round < 3; round += 1) {
      const results = await Promise.all(Array.from({ length: 100 }, () => api.get(resources.configMaps, key)));
      expect(results.every(({ kind }) => kind === "ok")).toBe(true);
    }
    expect(connections.size).toBeLessThanOrEqual(limits.kubernetesConnectionsMax);
    expect(await metrics.metrics()).toContain('rest_client_requests_total{code="200",method="GET"} 300');
  });

  test("as many watches as there may be keep no request waiting", async () => {
    const { port, seen } = await serve((request, response) => {
      response.writeHead(200);
      if (request.url?.includes("watch=true") === true) response.flushHeaders();
      else response.end(JSON.stringify(configMap));
    });
    const { api } = connect(kubeConfigFor(port));
    const stop = new AbortController();
    const watch = { resourceVersion: "1", timeoutSeconds: 60, signal: stop.signal };
    const watches = Array.from({ length: limits.kubernetesWatchesMax }, () => api.watch(resources.pods, watch, () => undefined));
    await waitFor(() => seen.length === limits.kubernetesWatchesMax, { what: "all watches to begin" });
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" });
    stop.abort();
    expect(await Promise.all(watches)).toEqual(watches.map(() => ({ kind: "ok", object: "ended" })));
  });

  test("items of a list are given the version and kind that the API server leaves out", async () => {
    const { port } = await serve(answer(200, { metadata: { resourceVersion: "9", continue: "" }, items: [{ metadata: { name: "a" } }] }));
    expect(await connect(kubeConfigFor(port)).api.list(resources.deployments)).toEqual({
      kind: "ok",
      object: { metadata: { resourceVersion: "9" }, items: [{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "a" } }] },
    });
  });

  test.each<[string, Handler, object]>([
    ["text", answer(200, "<html>"), { kind: "unavailable", malformed: true }],
    ["nothing", answer(200, ""), { kind: "unavailable", malformed: true }],
    ["another thing", answer(200, [1]), { kind: "unavailable", malformed: true }],
    ["half an object", answer(200, '{"metadata":'), { kind: "unavailable", malformed: true }],
    ["a refusal", answer(403, { reason: "Forbidden", message: "no" }), { kind: "refused", status: 403 }],
    ["a request to wait", answer(429, "", { "retry-after": "2" }), { kind: "unavailable", retryAfterMs: 2000 }],
    ["a cut connection", (request) => request.socket.destroy(), { kind: "unavailable" }],
    [
      "a body that breaks off",
      (_, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("{", () => response.destroy());
      },
      { kind: "unavailable" },
    ],
    ["no HTTP", (request) => request.socket.end("hello\r\n\r\n"), { kind: "unavailable" }],
  ])("is told as a value when the answer is %s", async (_, handler, expected) => {
    const { port } = await serve(handler);
    const { api } = connect(kubeConfigFor(port));
    expect(await api.get(resources.configMaps, key)).toMatchObject(expected);
    expect(await api.list(resources.configMaps)).toMatchObject(expected);
    expect(await api.create(resources.configMaps, configMap)).toMatchObject(expected);
  });

  test("a list without items, a version or names is malformed", async () => {
    const bodies = [
      {},
      { metadata: {} },
      { metadata: { resourceVersion: "1" }, items: [{}] },
      { metadata: { resourceVersion: "1" }, items: 5 },
    ];
    for (const body of bodies) {
      const { port } = await serve(answer(200, body));
      expect(await connect(kubeConfigFor(port)).api.list(resources.pods)).toMatchObject({ kind: "unavailable", malformed: true });
    }
  });

  test("an answer longer than the bound is refused, and nothing more of it is read", async () => {
    const block = Buffer.alloc(1024 * 1024, 0x20);
    let written = 0;
    const { port } = await serve((_, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && written < 1_000) {
          written += 1;
          if (!response.write(block)) return void response.once("drain", more);
        }
      };
      more();
    });
    const result = await connect(kubeConfigFor(port)).api.get(resources.configMaps, key, { timeoutMs: 60_000 });
    expect(result).toMatchObject({ kind: "refused", reason: "AnswerTooLong" });
    expect(written).toBeLessThan(200);
  });

  test("nobody there, a name that does not exist, and a closed client are unavailable", async () => {
    const { port, server } = await serve(answer(200, configMap));
    const { api, metrics } = connect(kubeConfigFor(port));
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await api.get(resources.configMaps, key)).toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(await metrics.metrics()).toContain('rest_client_requests_total{code="<error>",method="GET"} 1');
    const nowhere = connect({
      ...kubeConfigFor(0),
      getCurrentCluster: () => ({ name: "c", server: "https://nowhere.invalid", skipTLSVerify: true }),
    });
    expect(await nowhere.api.get(resources.configMaps, key)).toMatchObject({ kind: "unavailable" });
    await api.close();
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "unavailable" });
  });

  test("ends at its timeout by the clock it was given, before the head or within the body", async () => {
    for (const head of [false, true]) {
      const clock = new ManualClock();
      const { port, seen } = await serve((_, response) => {
        if (head) response.writeHead(200).write("{");
      });
      const { api } = connect(kubeConfigFor(port), clock);
      const result = api.get(resources.configMaps, key);
      await waitFor(() => seen.length === 1, { what: "the request to arrive" });
      clock.advance(limits.kubernetesRequestMs);
      expect(await result).toEqual({ kind: "unavailable", message: `no answer within ${limits.kubernetesRequestMs} ms` });
    }
  });

  test("ends at the time that its client gives to all, unless the call has one of its own", async () => {
    const clock = new ManualClock();
    const { port, seen } = await serve(() => undefined);
    const { api } = connect(kubeConfigFor(port), clock, 1_000);
    const results = [api.get(resources.configMaps, key), api.list(resources.configMaps, { timeoutMs: 3_000 })];
    await waitFor(() => seen.length === 2, { what: "the requests to arrive" });
    clock.advance(1_000);
    expect(await results[0]).toEqual({ kind: "unavailable", message: "no answer within 1000 ms" });
    clock.advance(2_000);
    expect(await results[1]).toEqual({ kind: "unavailable", message: "no answer within 3000 ms" });
  });

  test("ends with the caller's signal, also with one that is over before", async () => {
    const { port, seen } = await serve(() => undefined);
    const { api } = connect(kubeConfigFor(port));
    const stop = new AbortController();
    const result = api.get(resources.configMaps, key, { signal: stop.signal });
    await waitFor(() => seen.length === 1, { what: "the request to arrive" });
    stop.abort(new Error("no longer leading"));
    expect(await result).toEqual({ kind: "unavailable", message: "no longer leading" });
    expect(await api.get(resources.configMaps, key, { signal: stop.signal })).toEqual({
      kind: "unavailable",
      message: "no longer leading",
    });
    expect(seen).toHaveLength(1);
  });
});

describe("connections", () => {
  test("that became deaf cost one timeout, not one each", async () => {
    const deaf = new WeakSet<object>();
    const sockets = new Set<object>();
    const { port } = await serve((request, response) => {
      sockets.add(request.socket);
      if (!deaf.has(request.socket)) response.end(JSON.stringify(configMap));
    });
    const { api } = connect(kubeConfigFor(port));
    const ask = (timeoutMs: number) => api.get(resources.configMaps, key, { timeoutMs });
    await Promise.all(Array.from({ length: 50 }, () => ask(5_000)));
    expect(sockets.size).toBeGreaterThan(4);
    for (const socket of sockets) deaf.add(socket);
    expect(await ask(100)).toMatchObject({ kind: "unavailable" });
    expect(await ask(5_000)).toMatchObject({ kind: "ok" });
  });

  test("are opened anew when the certificates change, while a watch goes on over its own", async () => {
    const clock = new ManualClock();
    let servername = "one";
    const watched: ServerResponse[] = [];
    const { port, connections } = await serve((request, response) => {
      if (request.url?.includes("watch=true") !== true) return response.end(JSON.stringify(configMap));
      response.flushHeaders();
      watched.push(response);
    });
    const kubeConfig: KubeConfigSource = {
      ...kubeConfigFor(port),
      async applyToHTTPSOptions(options) {
        Object.assign(options, { servername });
      },
    };
    const { api } = connect(kubeConfig, clock);
    const { signal } = new AbortController();
    const seen: string[] = [];
    const watch = api.watch(resources.pods, { resourceVersion: "1", timeoutSeconds: 600, signal }, ({ type }) => seen.push(type));
    await waitFor(() => watched.length === 1, { what: "the watch to begin" });
    await api.get(resources.configMaps, key);
    await api.get(resources.configMaps, key);
    const before = connections.size;
    servername = "two";
    clock.advance(limits.kubernetesCredentialsMs);
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" });
    expect(connections.size).toBe(before + 1);
    watched[0]?.end(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}\n`);
    expect(await watch).toEqual({ kind: "ok", object: "ended" });
    expect(seen).toEqual(["BOOKMARK"]);
  });
});

describe("a token", () => {
  test("that rotates is read again after its period, and at once after a 401", async () => {
    const clock = new ManualClock();
    let token = "one";
    const { port, seen } = await serve((request, response) => {
      response.writeHead(request.headers.authorization === "Bearer bad" ? 401 : 200).end(JSON.stringify(configMap));
    });
    const { api } = connect(
      kubeConfigFor(port, () => token),
      clock,
    );
    const ask = async () => {
      const { kind } = await api.get(resources.configMaps, key);
      return [kind, seen.at(-1)?.authorization];
    };
    expect(await ask()).toEqual(["ok", "Bearer one"]);
    token = "bad";
    expect(await ask()).toEqual(["ok", "Bearer one"]);
    clock.advance(limits.kubernetesCredentialsMs);
    expect(await ask()).toEqual(["refused", "Bearer bad"]);
    token = "two";
    expect(await ask()).toEqual(["refused", "Bearer bad"]); // not more often than once a second
    clock.advance(limits.kubernetesCredentialsMinMs);
    expect(await ask()).toEqual(["ok", "Bearer two"]);
  });

  test("that cannot be read is unavailable at first, and later leaves the last one in force", async () => {
    const clock = new ManualClock();
    let token: string | undefined;
    const { port, seen } = await serve(answer(200, configMap));
    const read = () => {
      if (token === undefined) throw new Error("ENOENT: token");
      return token;
    };
    const { api } = connect(kubeConfigFor(port, read), clock);
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "unavailable", message: expect.stringContaining("ENOENT") });
    token = "one";
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" });
    token = undefined;
    clock.advance(limits.kubernetesCredentialsMs);
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" });
    expect(seen.map(({ authorization }) => authorization)).toEqual(["Bearer one", "Bearer one"]);
  });

  test("of a plugin that hangs when it is asked again keeps nothing waiting for long: the last one goes on", async () => {
    const clock = new ManualClock();
    const { port, seen } = await serve(answer(200, configMap));
    let asked = 0;
    const kubeConfig: KubeConfigSource = {
      ...kubeConfigFor(port),
      applyToHTTPSOptions(options) {
        asked += 1;
        return asked === 1 ? kubeConfigFor(port).applyToHTTPSOptions(options) : new Promise(() => undefined);
      },
    };
    const { api } = connect(kubeConfig, clock);
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" });
    clock.advance(limits.kubernetesCredentialsMs);
    const waiting = api.get(resources.configMaps, key);
    clock.advance(limits.kubernetesCredentialsMinMs);
    expect(await waiting).toMatchObject({ kind: "ok" });
    expect(await api.get(resources.configMaps, key)).toMatchObject({ kind: "ok" }); // at once, while it hangs
    expect({ requests: seen.length, asked }).toEqual({ requests: 3, asked: 2 });
  });

  test("of a plugin that hangs ends with the request's timeout", async () => {
    const clock = new ManualClock();
    const hanging: KubeConfigSource = { ...kubeConfigFor(1), applyToHTTPSOptions: () => new Promise(() => undefined) };
    const result = connect(hanging, clock).api.get(resources.configMaps, key);
    clock.advance(limits.kubernetesRequestMs);
    expect(await result).toMatchObject({ kind: "unavailable" });
  });
});
