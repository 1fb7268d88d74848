import { type Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { bindGrpcServer, createGrpcServer, routerService, v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../../test/peers/free-port.js";
import { connectRouters, type RouterChannels } from "./router-link.js";

const servers: Server[] = [];
let link: RouterChannels;
afterEach(() => {
  link?.stop();
  for (const server of servers.splice(0)) server.forceShutdown();
});

type Answer = (request: v1.SyncRequest) => v1.ISyncReply | { readonly code: number; readonly details: string };

async function startRouter(answer: Answer): Promise<string> {
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
  return `127.0.0.1:${await bindGrpcServer(server, "127.0.0.1", 0, undefined)}`;
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
    link = connectRouters(await Promise.all(routers), undefined);
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
    link = connectRouters([gone, there], undefined);
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
    link = connectRouters([await refuses(), await refuses()], undefined);
    expect(await link.sync({ user: "u" })).toEqual({ kind: "refused", code: "bad_cursor", message: "no such cursor" });
    expect(asked).toBe(1);
  });

  test("is unavailable when no router answers, or there is none", async () => {
    link = connectRouters([`127.0.0.1:${await freePort()}`], undefined);
    expect(await link.sync({ user: "u" })).toMatchObject({ kind: "unavailable", cause: expect.any(Error) });
    expect(await connectRouters([], undefined).emit({})).toMatchObject({ kind: "unavailable" });
  });
});
