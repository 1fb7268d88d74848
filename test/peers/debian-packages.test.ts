import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installDebianPackages } from "./debian-packages.mjs";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder("apt");
});
afterEach(() => folder.remove());

const inFolder = (name: string): string => join(folder.path, name);

/** Puts a stand-in for apt-get in the folder: it logs its arguments and what the policy says, then runs `script`. */
async function writeAptGet(script: string): Promise<void> {
  const log = `echo "$1: $(sh ${inFolder("policy")} redis-server start; echo $?)" >> ${inFolder("log")}`;
  await writeFile(inFolder("apt-get"), `#!/bin/sh\n${log}\n${script}\n`);
  await chmod(inFolder("apt-get"), 0o755);
}

const install = (options: { readonly userId: number }) =>
  installDebianPackages(["haproxy", "redis-server"], {
    ...options,
    lockFile: inFolder("lock"),
    policyFile: inFolder("policy"),
    environment: { PATH: folder.path },
  });

test("packages are installed while a policy forbids starting services, which is gone afterwards", async () => {
  await writeAptGet("exit 0");
  await expect(install({ userId: 0 })).resolves.toEqual({ kind: "installed" });
  expect(await readFile(inFolder("log"), "utf8")).toBe("install: 101\n");
  expect(existsSync(inFolder("policy"))).toBe(false);
});

test("a policy that the machine has is left as it is", async () => {
  await writeAptGet("exit 0");
  await writeFile(inFolder("policy"), "#!/bin/sh\nexit 104\n");
  await install({ userId: 0 });
  expect(await readFile(inFolder("log"), "utf8")).toBe("install: 104\n");
  expect(await readFile(inFolder("policy"), "utf8")).toBe("#!/bin/sh\nexit 104\n");
});

test("a failed install is tried again once the package lists are fetched", async () => {
  await writeAptGet(`case $1 in update) touch ${inFolder("lists")};; *) test -e ${inFolder("lists")};; esac`);
  await expect(install({ userId: 0 })).resolves.toEqual({ kind: "installed" });
  expect(await readFile(inFolder("log"), "utf8")).toBe("install: 101\nupdate: 101\ninstall: 101\n");
});

test("an install that keeps failing is an error with apt-get's words, and the policy is gone", async () => {
  await writeAptGet(`echo "E: Unable to locate package" >&2; exit 100`);
  await expect(install({ userId: 0 })).rejects.toThrow("E: Unable to locate package");
  expect(existsSync(inFolder("policy"))).toBe(false);
});

test("who is not root is told the line to run, and nothing is run", async () => {
  await writeAptGet("exit 0");
  const reason = "not root: run apt-get install --no-install-recommends haproxy redis-server";
  await expect(install({ userId: 1000 })).resolves.toEqual({ kind: "refused", reason });
  expect(existsSync(inFolder("log"))).toBe(false);
});

test("a machine without apt-get is told which packages are missing", async () => {
  const refused = await install({ userId: 0 });
  expect(refused).toEqual({ kind: "refused", reason: "not a Debian machine: no apt-get to install haproxy, redis-server" });
});
