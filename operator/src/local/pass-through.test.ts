import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { type PassThrough, startPassThrough, type Target } from "./pass-through.js";

const servers: Server[] = [];
const clients: Socket[] = [];
let passThrough: PassThrough | undefined;

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await passThrough?.stop();
  for (const server of servers.splice(0)) server.close();
});

/** Echoes with its name in front. */
async function target(name: string, accepting: () => boolean = () => true): Promise<Target> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => socket.write(`${name}:${bytes}`));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { name, host: "127.0.0.1", port: (server.address() as { port: number }).port, accepting };
}

async function ask(it: PassThrough): Promise<string> {
  const client = connect(Number(it.address.split(":")[1]), "127.0.0.1");
  clients.push(client);
  client.write("hello");
  return await new Promise((resolve) => {
    client.once("data", (bytes) => resolve(String(bytes)));
    client.once("error", () => resolve("error"));
    client.once("close", () => resolve("closed"));
  });
}

test("new connections go to the target with the fewest", async () => {
  passThrough = await startPassThrough({ host: "127.0.0.1", port: 0 });
  passThrough.setTargets([await target("a"), await target("b"), await target("c")]);
  const answers: string[] = [];
  for (let i = 0; i < 9; i++) answers.push(await ask(passThrough));
  expect(answers.sort()).toEqual([...Array(3).fill("a:hello"), ...Array(3).fill("b:hello"), ...Array(3).fill("c:hello")]);
  for (const client of clients) client.destroy();
  await vi.waitFor(() => expect(passThrough?.connections().size).toBe(0));
});

test("a target that is not accepting gets nothing new and keeps what it has", async () => {
  let accepting = true;
  passThrough = await startPassThrough({ host: "127.0.0.1", port: 0 });
  passThrough.setTargets([await target("a", () => accepting), await target("b")]);
  expect(new Set([await ask(passThrough), await ask(passThrough)])).toEqual(new Set(["a:hello", "b:hello"]));
  accepting = false;
  for (let i = 0; i < 4; i++) expect(await ask(passThrough)).toBe("b:hello");
  expect(passThrough.connections().get("a")).toBe(1);
});

test("a target that refuses is passed over", async () => {
  const gone = await target("gone");
  await new Promise((resolve) => servers.pop()?.close(resolve));
  passThrough = await startPassThrough({ host: "127.0.0.1", port: 0 });
  passThrough.setTargets([gone, await target("b")]);
  expect(await ask(passThrough)).toBe("b:hello");
});

test("a connection waits for the first target, and is cut when there is none", async () => {
  passThrough = await startPassThrough({ host: "127.0.0.1", port: 0 });
  const waiting = ask(passThrough);
  passThrough.setTargets([await target("late")]);
  expect(await waiting).toBe("late:hello");
  passThrough.setTargets([]);
  expect(await ask(passThrough)).toMatch(/closed|error/);
});
