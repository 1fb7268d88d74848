import { limits } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { PipelineQueue } from "./pipeline-queue.js";
import type { RedisCommand, Reply } from "./redis-command.js";

/** A Redis that answers each pipeline when the test says so, with the commands' own arguments. */
class SlowRedis {
  readonly sent: (readonly RedisCommand[])[] = [];
  readonly #answers: (() => void)[] = [];
  readonly queue = new PipelineQueue((commands) => {
    this.sent.push(commands);
    return new Promise((resolve) => {
      this.#answers.push(() => resolve(commands.map(([, argument]): Reply => ({ kind: "reply", value: argument }))));
    });
  });

  send(argument: string): Promise<Reply> {
    return this.queue.send(() => ["echo", argument]);
  }
  answerAll(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
const sizes = (redis: SlowRedis) => redis.sent.map((commands) => commands.length);

test("commands of one turn share a pipeline, in order, and each gets its own reply", async () => {
  const redis = new SlowRedis();
  const replies = ["a", "b", "c"].map((argument) => redis.send(argument));
  await nextTurn();
  expect(redis.sent).toEqual([
    [
      ["echo", "a"],
      ["echo", "b"],
      ["echo", "c"],
    ],
  ]);
  redis.answerAll();
  expect(await Promise.all(replies)).toEqual(["a", "b", "c"].map((value) => ({ kind: "reply", value })));
});

test("a long turn is cut into pipelines of registryPipelineCommandsMax (I6)", async () => {
  const redis = new SlowRedis();
  const most = limits.registryPipelineCommandsMax;
  for (let i = 0; i < most + 1; i++) void redis.send(String(i));
  await nextTurn();
  expect(sizes(redis)).toEqual([most, 1]);
});

test("at most registryPipelinesInFlightMax are under way; what comes meanwhile waits and shares the next (I6)", async () => {
  const redis = new SlowRedis();
  for (let i = 0; i < limits.registryPipelinesInFlightMax + 3; i++) {
    void redis.send(String(i));
    await nextTurn();
  }
  expect(redis.sent).toHaveLength(limits.registryPipelinesInFlightMax);
  redis.answerAll();
  await nextTurn();
  await nextTurn();
  expect(sizes(redis).at(-1)).toBe(3);
});

test("a command is built when it is written, not when it is queued", async () => {
  const redis = new SlowRedis();
  let age = "young";
  void redis.queue.send(() => ["echo", age]);
  age = "old";
  await nextTurn();
  expect(redis.sent).toEqual([[["echo", "old"]]]);
});

test("beyond registryCommandsQueuedMax a command is unavailable at once (I6)", async () => {
  const redis = new SlowRedis();
  for (let i = 0; i < limits.registryCommandsQueuedMax; i++) void redis.send("x");
  expect((await redis.send("one too many")).kind).toBe("unavailable");
});

test("is idle when every reply has come", async () => {
  const redis = new SlowRedis();
  await redis.queue.whenIdle();
  let isIdle = false;
  void redis.send("a");
  const idle = redis.queue.whenIdle().then(() => {
    isIdle = true;
  });
  await nextTurn();
  expect(isIdle).toBe(false);
  redis.answerAll();
  await idle;
});
