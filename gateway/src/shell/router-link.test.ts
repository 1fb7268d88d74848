import { type Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { bindGrpcServer, createGrpcServer, createLogger, ManualClock, routerService, systemClock, v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../../test/peers/free-port.js";
import { connectRouters, type RouterChannels } from "./router-link.js";

const logger = createLogger("gateway", "silent");
const servers: Server[] = [];
let link: RouterChannels;
afterEach(() => {
  link?.stop();
  for (const server of servers.splice(0)) server.forceShutdown();
});

type Answer = (request: v1.SyncRequest) => v1.ISyncReply | { readonly code: number; readonly details: string };

async function startRouter(answer: Answer, { host = "127.0.0.1", port = 0 } = {}): Promise<string> {
  const server = createGrpcServer();
  servers.push(server);
  server.addService(routerService, {
    acknowledge: (_: unknown, done: sendUnaryData<v1.AcknowledgeReply>) => done(null, new v1.AcknowledgeReply()),
    emit: (_: unknown, done: sendUnaryData<v1.EmitReply>) => done(null, new v1.EmitReply()),
    publish: () => {},
    sync: (call: ServerUnaryCall<v1.SyncRequest, v1.SyncReply>, done: sendUnaryData<v1.SyncReply>) => {
      const answered = answer(call.request);
      if ("code" in answered) done({ ...answered, name: "x", message: answered.details });
      else done(null, new v1.SyncReply(answered));
    },
  });
  return `${host}:${await bindGrpcServer(server, host, port, undefined)}`;
}

describe("the link to the routers", () => {
  test("takes them in turn and gives their replies", async () => {
    const asked = [0, 0];
    const routers = asked.map((_, index) =>
      startRouter(({ user }) => {
        asked[index] = (asked[index] ?? 0) + 1;
        return { frame: Buffer.from(user), hasMore: true, nextPage: "p2" };
      }),
    );
    link = connectRouters({ addresses: await Promise.all(routers), clock: systemClock, logger });
    for (let i = 0; i < 4; i++) {
      const linked = await link.sync({ user: "usr_42", device: "phone", lastSeen: "", page: "" });
      expect(linked).toMatchObject({ kind: "ok", reply: { hasMore: true, nextPage: "p2" } });
    }
    expect(asked).toEqual([2, 2]);
    expect(await link.acknowledge({ acks: [] })).toMatchObject({ kind: "ok" });
    expect(await link.emit({ events: [] })).toMatchObject({ kind: "ok" });
  });

  test("passes over a router that is away", async () => {
    const gone = `127.0.0.1:${await freePort()}`;
    const there = await startRouter(() => ({ frame: Buffer.from("x") }));
    link = connectRouters({ addresses: [gone, there], clock: systemClock, logger });
    expect(await link.sync({ user: "u" })).toMatchObject({ kind: "ok" });
    expect(await link.sync({ user: "u" })).toMatchObject({ kind: "ok" });
  });

  test("a bad cursor is a refusal, whatever the other routers would say", async () => {
    let asked = 0;
    const refuses = () =>
      startRouter(() => {
        asked += 1;
        return { code: status.INVALID_ARGUMENT, details: "no such cursor" };
      });
    link = connectRouters({ addresses: [await refuses(), await refuses()], clock: systemClock, logger });
    expect(await link.sync({ user: "u" })).toEqual({ kind: "refused", code: "bad_cursor", message: "no such cursor" });
    expect(asked).toBe(1);
  });

  test("is unavailable when no router answers, or there is none", async () => {
    link = connectRouters({ addresses: [`127.0.0.1:${await freePort()}`], clock: systemClock, logger });
    expect(await link.sync({ user: "u" })).toMatchObject({ kind: "unavailable", cause: expect.any(Error) });
    expect(await connectRouters({ addresses: [], clock: systemClock, logger }).emit({})).toMatchObject({ kind: "unavailable" });
  });

  test("asks all that a name stands for in turn, notices new ones, forgets those that are gone, and still tries each at most once", async () => {
    const asked: string[] = [];
    const port = await freePort();
    const start = (host: string, answer: Answer = () => ({ frame: Buffer.from("x") })) =>
      startRouter(
        (request) => {
          asked.push(host);
          return answer(request);
        },
        { host, port },
      );
    const busy: Answer = () => ({ code: status.UNAVAILABLE, details: "its store is away" });
    await start("127.0.0.2");
    await start("127.0.0.3", busy);
    let addresses: readonly string[] = [];
    const clock = new ManualClock();
    const lookUp = async (host: string) => {
      if (host !== "routers.example" || addresses.length === 0) throw new Error("ENOTFOUND");
      return addresses;
    };
    link = connectRouters({ addresses: [`routers.example:${port}`], clock, logger, lookUp });
    const sync = async () => (await link.sync({ user: "u" })).kind;
    const round = async (count: number) => {
      asked.length = 0;
      const kinds: string[] = [];
      for (let i = 0; i < count; i++) kinds.push(await sync());
      return { kinds: new Set(kinds), asked: [...asked].sort() };
    };
    const passes = async (ms: number) => {
      clock.advance(ms);
      await new Promise((resolve) => setImmediate(resolve));
    };

    expect(await sync()).toBe("unavailable"); // the name is not there yet
    addresses = ["127.0.0.2", "127.0.0.3"];
    expect(await sync()).toBe("ok"); // nothing was known: it was looked up again
    expect(await round(4)).toEqual({
      kinds: new Set(["ok"]),
      asked: ["127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"],
    });

    await start("127.0.0.4");
    addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    await passes(5_000);
    expect(new Set((await round(6)).asked)).toEqual(new Set(addresses));

    addresses = ["127.0.0.3"];
    await passes(5_000);
    expect(await round(2)).toEqual({ kinds: new Set(["unavailable"]), asked: ["127.0.0.3", "127.0.0.3"] });
    addresses = [];
    await passes(5_000);
    expect(await round(1)).toEqual({ kinds: new Set(["unavailable"]), asked: ["127.0.0.3"] }); // no answer is no change
  });
});
