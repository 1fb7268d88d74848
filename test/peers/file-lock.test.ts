import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withFileLock } from "./file-lock.mjs";
import { startProcess } from "./process.js";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder("lock");
});
afterEach(() => folder.remove());

test("two holders of one lock never work at the same time", async () => {
  const path = join(folder.path, "lock");
  const events: string[] = [];
  const work = (name: string) => async (): Promise<void> => {
    events.push(`${name} begins`);
    await writeFile(join(folder.path, name), "");
    events.push(`${name} ends`);
  };
  await Promise.all([withFileLock(path, work("a")), withFileLock(path, work("b"))]);
  const [first, , third] = events.map((event) => event.slice(0, 1));
  expect(events).toEqual([`${first} begins`, `${first} ends`, `${third} begins`, `${third} ends`]);
  expect(first).not.toBe(third);
});

test("the lock is free after work that throws, and the error comes through", async () => {
  const path = join(folder.path, "lock");
  const failing = withFileLock(path, () => Promise.reject(new Error("no network")));
  await expect(failing).rejects.toThrow("no network");
  await expect(withFileLock(path, async () => "held again")).resolves.toBe("held again");
});

test("a holder that is killed leaves the lock free", async () => {
  const path = join(folder.path, "lock");
  const module = new URL("file-lock.mjs", import.meta.url).href;
  const script = `const { withFileLock } = await import(${JSON.stringify(module)});
    await withFileLock(${JSON.stringify(path)}, () => new Promise(() => { console.log("held"); setInterval(() => {}, 1000); }));`;
  const args = ["--input-type=module", "-e", script];
  const holder = await startProcess({ name: "holder", command: process.execPath, args, ready: (line) => line === "held" });
  holder.signal("SIGKILL");
  await expect(withFileLock(path, async () => "held again")).resolves.toBe("held again");
  await holder.kill();
  expect(readFileSync(path, "utf8")).toBe("");
});
