// @ts-check
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/** How long one waits for another checkout's download before it gives up. */
const LOCK_WAIT_SECONDS = 900;

/**
 * Runs `work` while holding the lock on the file `path`, made if absent. A `flock` process holds it for us until our end of
 * its standard input closes, so the kernel frees the lock however we end; a pid file would go stale.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withFileLock(path, work) {
  await mkdir(dirname(path), { recursive: true });
  const keeper = ["--exclusive", "--timeout", String(LOCK_WAIT_SECONDS), path, "sh", "-c", "echo held; exec cat"];
  const holder = spawn("flock", keeper, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => holder.once("close", resolve));
  const held = await Promise.race([once(holder.stdout, "data").then(() => true), ended.then(() => false)]);
  if (!held) throw new Error(`no lock on ${path} within ${LOCK_WAIT_SECONDS} s (is another checkout still downloading?)`);
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
