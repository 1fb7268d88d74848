// @ts-check
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { withFileLock } from "./file-lock.mjs";
import { findProgram } from "./find-program.mjs";
import { runCommand } from "./run-command.mjs";

const APT_TIMEOUT_MS = 600_000;
/** What maintainer scripts ask before they start a service: invoke-rc.d(8), deb-systemd-invoke(1). */
const POLICY_FILE = "/usr/sbin/policy-rc.d";
const POLICY_MARK = "# written by pushfleet test/peers while it installs packages; safe to delete";
/** invoke-rc.d(8): "action forbidden by policy". */
const POLICY_TEXT = `#!/bin/sh\n${POLICY_MARK}\nexit 101\n`;

/**
 * The line a person can run for the same effect.
 * @param {readonly string[]} packages
 */
export const aptLine = (packages) => `apt-get install --no-install-recommends ${packages.join(" ")}`;

/**
 * Installs Debian packages, if we are root, without starting the services they bring. "refused" when we are not root or
 * there is no apt-get; throws when apt-get fails.
 * @param {readonly string[]} packages
 * @param {{ lockFile?: string, policyFile?: string, environment?: NodeJS.ProcessEnv, userId?: number | undefined }} [options] for tests
 * @returns {Promise<{ kind: "installed" } | { kind: "refused", reason: string }>}
 */
export async function installDebianPackages(packages, options = {}) {
  const { lockFile = "/run/lock/pushfleet-apt.lock", policyFile = POLICY_FILE, environment = process.env } = options;
  const userId = "userId" in options ? options.userId : process.getuid?.();
  const aptGet = findProgram("apt-get", environment);
  if (aptGet === undefined) return { kind: "refused", reason: `not a Debian machine: no apt-get to install ${packages.join(", ")}` };
  if (userId !== 0) return { kind: "refused", reason: `not root: run ${aptLine(packages)}` };
  await withFileLock(lockFile, () => withoutStartingServices(policyFile, () => aptInstall(aptGet, packages)));
  return { kind: "installed" };
}

/**
 * The package lists may be absent or old (then a listed file is gone): only a failed install makes us fetch them.
 * @param {string} aptGet
 * @param {readonly string[]} packages
 */
async function aptInstall(aptGet, packages) {
  const options = { timeoutMs: APT_TIMEOUT_MS, env: { DEBIAN_FRONTEND: "noninteractive" } };
  const install = ["install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", ...packages];
  try {
    await runCommand(aptGet, install, options);
  } catch {
    await runCommand(aptGet, ["update"], options);
    await runCommand(aptGet, install, options);
  }
}

/**
 * Runs `work` while a policy forbids starting services: the machine's own policy file where it has one (it decides, and is
 * not touched), otherwise ours, removed afterwards. One of ours that a killed run left behind counts as ours.
 * @template T
 * @param {string} policyFile
 * @param {() => Promise<T>} work
 */
async function withoutStartingServices(policyFile, work) {
  if (existsSync(policyFile) && !(await readFile(policyFile, "utf8")).includes(POLICY_MARK)) return work();
  await writeFile(policyFile, POLICY_TEXT, { mode: 0o755 });
  try {
    return await work();
  } finally {
    await rm(policyFile);
  }
}
