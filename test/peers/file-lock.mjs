// @ts-check
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** How long one waits for another checkout's download before it gives up, unless the caller knows better. */
const LOCK_WAIT_SECONDS = 900;

/**
 * Runs `work` while holding the lock on the file `path`, made if absent. A `flock` process holds it for us until our end of
 * its standard input closes, so the kernel frees the lock however we end; a pid file would go stale.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @param {number} [waitSeconds]
 * @returns {Promise<T>}
 */
export async function withFileLock(path, work, waitSeconds = LOCK_WAIT_SECONDS) {
  await mkdir(dirname(path), { recursive: true });
  const keeper = ["--exclusive", "--timeout", String(waitSeconds), path, "sh", "-c", "echo held; exec cat"];
  const holder = spawn("flock", keeper, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => holder.once("close", resolve));
  const held = await Promise.race([once(holder.stdout, "data").then(() => true), ended.then(() => false)]);
  if (!held) throw new Error(`no lock on ${path} within ${waitSeconds} s (is another checkout still at work?)`);
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
