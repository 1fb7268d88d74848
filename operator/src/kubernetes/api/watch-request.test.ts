import type { ServerResponse } from "node:http";
import { limits } from "@pushfleet/protocol";
import { type Clock, ManualClock, systemClock } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../../../test/peers/wait-for.js";
import { answer, closeAll, connect, type Handler, kubeConfigFor, serve } from "../../../../test/support/answering-server.js";
import { resources } from "./resources.js";
import type { WatchEvent } from "./types.js";

afterEach(closeAll);

const key = { namespace: "a", name: "b" };

describe("a watch", () => {
  const event = (type: string, resourceVersion: string) =>
    `${JSON.stringify({ type, object: { kind: "Pod", metadata: { ...key, uid: "u", resourceVersion } } })}\n`;

  /** Watches once what `write` sends; gives the versions seen and how it ended. */
  async function watchOnce(write: Handler, clock: Clock = systemClock, during?: () => Promise<void>) {
    const { port, seen } = await serve(write);
    const events: WatchEvent<object & { metadata: { resourceVersion?: string } }>[] = [];
    const { signal } = new AbortController();
    const { api } = connect(kubeConfigFor(port), clock);
    const result = api.watch(resources.pods, { resourceVersion: "7", timeoutSeconds: 300, signal, namespace: "a" }, (one) =>
      events.push(one as (typeof events)[number]),
    );
    await during?.();
    return {
      result: await result,
      versions: events.map((one) => (one.type === "ERROR" ? "error" : one.object.metadata.resourceVersion)),
      seen,
    };
  }

  test("hands on its events and says that it ended", async () => {
    const { result, versions, seen } = await watchOnce((_, response) => {
      response.writeHead(200).end(event("ADDED", "8") + event("BOOKMARK", "9") + event("DELETED", "10").trimEnd());
    });
    expect({ result, versions }).toEqual({ result: { kind: "ok", object: "ended" }, versions: ["8", "9", "10"] });
    expect(seen[0]?.url).toBe("/behind/api/v1/namespaces/a/pods?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300");
  });

  test.each<[string, Handler, object, readonly string[]]>([
    ["410 before it begins", answer(410, { reason: "Expired" }), { kind: "expired" }, []],
    [
      "410 in the stream",
      answer(200, `${event("ADDED", "8")}{"type":"ERROR","object":{"code":410}}\n${event("ADDED", "9")}`),
      { kind: "expired" },
      ["8", "error"],
    ],
    ["429", answer(429, "", { "retry-after": "3" }), { kind: "unavailable", retryAfterMs: 3000 }, []],
    ["403", answer(403, { reason: "Forbidden" }), { kind: "refused" }, []],
    [
      "a line that is no event",
      answer(200, `${event("ADDED", "8")}oops\n${event("ADDED", "9")}`),
      { kind: "unavailable", malformed: true },
      ["8"],
    ],
    ["half a line", answer(200, event("ADDED", "8") + event("ADDED", "9").slice(0, 20)), { kind: "unavailable", malformed: true }, ["8"]],
    [
      "a broken connection",
      (_, response) => {
        response.writeHead(200);
        response.write(event("ADDED", "8") + event("ADDED", "9").slice(0, 20), () => setImmediate(() => response.destroy()));
      },
      { kind: "unavailable" },
      ["8"],
    ],
  ])("ends with %s as what it means", async (_, handler, result, versions) => {
    expect(await watchOnce(handler)).toMatchObject({ result, versions });
  });

  test("in which nothing is heard for long is taken for dead, one with a bookmark now and then is not", async () => {
    const clock = new ManualClock();
    let response: ServerResponse | undefined;
    let bookmarks = 0;
    const { result, versions } = await watchOnce(
      (_, opened) => {
        response = opened;
        opened.writeHead(200).write(event("BOOKMARK", "8"));
      },
      clock,
      async () => {
        const opened = await waitFor(() => response, { what: "the watch to begin" });
        for (; bookmarks < 5; bookmarks += 1) {
          await new Promise<void>((resolve) => opened.write(event("BOOKMARK", String(9 + bookmarks)), () => resolve()));
          await new Promise((resolve) => setTimeout(resolve, 20)); // until it has arrived: the watch tells nobody of it
          clock.advance(60_000);
        }
        clock.advance(limits.kubernetesWatchSilenceMs);
      },
    );
    expect(result).toMatchObject({ kind: "unavailable" });
    expect(versions).toEqual(["8", "9", "10", "11", "12", "13"]);
  });

  test("that does not begin, or does not end when it should, is cut", async () => {
    const clock = new ManualClock();
    const hears = () => new Promise<void>((resolve) => setTimeout(resolve, 50)).then(() => clock.advance(limits.kubernetesListMs));
    expect((await watchOnce(() => undefined, clock, hears)).result).toMatchObject({
      kind: "unavailable",
      message: "the watch did not begin",
    });
  });

  test("throws what its listener throws, and cuts the connection", async () => {
    let closed = false;
    const { port } = await serve((_, response) => {
      response.once("close", () => {
        closed = true;
      });
      response.writeHead(200).write(event("ADDED", "8"));
    });
    const { signal } = new AbortController();
    const watch = connect(kubeConfigFor(port)).api.watch(resources.pods, { resourceVersion: "7", timeoutSeconds: 300, signal }, () => {
      throw new Error("a bug");
    });
    await expect(watch).rejects.toThrow("a bug");
    await waitFor(() => closed, { what: "the connection to be cut" });
  });
});
