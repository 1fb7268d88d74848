import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type ProcessOptions, type RunningProcess, startProcess } from "./process.js";
import { isProcessAlive } from "./process-alive.js";
import { temporaryFolder } from "./temporary-folder.js";
import { waitFor } from "./wait-for.js";

const started: RunningProcess[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((running) => running.kill()));
});

/** Runs a script in Node; ready at the line "ready". */
async function startScript(script: string, options: Partial<ProcessOptions> = {}): Promise<RunningProcess> {
  const ready = (line: string): boolean => line === "ready";
  const running = await startProcess({ name: "script", command: process.execPath, args: ["-e", script], ready, ...options });
  started.push(running);
  return running;
}

const STAY = "setInterval(() => {}, 1000);";

test("a process is started once its ready line is there, and stopped by SIGTERM", async () => {
  const running = await startScript(`console.log("ready"); ${STAY}`);
  expect(isProcessAlive(running.pid)).toBe(true);
  expect(running.exit).toBeUndefined();
  await expect(running.stop()).resolves.toEqual({ code: null, signal: "SIGTERM" });
  expect(isProcessAlive(running.pid)).toBe(false);
  await expect(running.stop()).resolves.toEqual({ code: null, signal: "SIGTERM" });
});

test("a process that ignores SIGTERM is killed at the stop's deadline", async () => {
  const running = await startScript(`process.on("SIGTERM", () => {}); console.log("ready"); ${STAY}`);
  await expect(running.stop({ deadlineMs: 50 })).resolves.toEqual({ code: null, signal: "SIGKILL" });
});

test("a frozen process stops by SIGTERM all the same", async () => {
  const running = await startScript(`console.log("ready"); ${STAY}`);
  running.pause();
  await expect(running.stop()).resolves.toEqual({ code: null, signal: "SIGTERM" });
});

test("a process that ends before it is ready is an error with its exit code and its last lines", async () => {
  const starting = startScript(`console.error("no such key: colour"); process.exitCode = 2;`);
  await expect(starting).rejects.toThrow(/script: it ended \(exit code 2\) before .*ready.*\nno such key: colour/s);
});

test("a process that is not ready in time is killed, and the error has its last lines", async () => {
  const starting = startScript(`console.log("pid " + process.pid); ${STAY}`, { readyDeadlineMs: 500 });
  const error = await starting.then(() => undefined, String);
  expect(error).toMatch(/script: 500 ms passed before .*\npid \d+/s);
  expect(isProcessAlive(Number(/pid (\d+)/.exec(error ?? "")?.[1]))).toBe(false);
});

test("a program that does not exist is an error that names it", async () => {
  await expect(startProcess({ name: "router", command: "pushfleet-nowhere" })).rejects.toThrow(
    "router: there is no program pushfleet-nowhere",
  );
});

test("log lines are parsed from its output; other lines are kept as text", async () => {
  const running = await startScript(`console.log("starting"); console.log('{"msg":"ready","port":8080}'); ${STAY}`, {
    ready: (line) => line.includes('"msg":"ready"'),
  });
  expect(running.logs()).toEqual([{ msg: "ready", port: 8080 }]);
  expect(running.lines()).toEqual(["starting", '{"msg":"ready","port":8080}']);
  await expect(running.waitForLog((log) => log["msg"] === "ready", { what: "ready" })).resolves.toEqual({ msg: "ready", port: 8080 });
});

test("waiting for a new line overlooks the old ones", async () => {
  const running = await startScript(`process.on("SIGUSR2", () => console.log("ready")); console.log("ready"); ${STAY}`);
  const again = running.waitForLine((line) => line === "ready", { what: "the second ready", onlyNew: true });
  running.signal("SIGUSR2");
  await expect(again).resolves.toBe("ready");
  expect(running.lines()).toEqual(["ready", "ready"]);
});

test("the environment is ours, with variables added and taken out", async () => {
  const script = `console.log(JSON.stringify([process.env.ADDED, process.env.HOME ?? "none", typeof process.env.PATH])); console.log("ready")`;
  const running = await startScript(script, { env: { ADDED: "yes", HOME: undefined } });
  expect(running.lines()[0]).toBe('["yes","none","string"]');
});

test("children that a process leaves behind are killed when it is stopped", async () => {
  const script = `const { spawn } = require("node:child_process"); console.log(spawn("sleep", ["300"]).pid); console.log("ready"); ${STAY}`;
  const running = await startScript(script);
  const childPid = Number(running.lines()[0]);
  expect(isProcessAlive(childPid)).toBe(true);
  await running.stop();
  await waitFor(() => !isProcessAlive(childPid), { what: "the child's end" });
});

test("a process dies with the test process even when that is killed", async () => {
  const folder = await temporaryFolder("orphan");
  const pidFile = join(folder.path, "pid");
  const runner = await startProcess({
    name: "vitest",
    command: process.execPath,
    args: ["node_modules/vitest/vitest.mjs", "run", "--config", join(import.meta.dirname, "fixtures/vitest.config.ts"), "hangs"],
    cwd: join(import.meta.dirname, "../.."),
    env: { PID_FILE: pidFile },
  });
  started.push(runner);
  const pid = await waitFor(async () => Number(await readFile(pidFile, "utf8")), { what: "the fixture's process" });
  expect(isProcessAlive(pid)).toBe(true);
  await runner.kill();
  await waitFor(() => !isProcessAlive(pid), { what: "the end of the fixture's process" });
  await folder.remove();
});
