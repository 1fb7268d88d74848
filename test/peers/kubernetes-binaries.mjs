// @ts-check
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withFileLock } from "./file-lock.mjs";
import { buildWithGo } from "./kubernetes-build.mjs";
import { formatManifest, manifestFaults, parseManifest, readFolderManifest } from "./manifest.mjs";

/** What a control plane is made of, and the client. */
export const KUBERNETES_PROGRAMS = /** @type {const} */ (["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]);

/** How long one waits for another checkout's build: longer than that may take. */
const LOCK_WAIT_SECONDS = 3_900;
/** After which a line says that one waits. */
const LOCK_NOTICE_MS = 2_000;
/** What etcd's go.mod asks for. Go 1.21 and later fetch it by themselves, unless GOTOOLCHAIN=local. */
const GO_VERSION = "1.26";
const MODULES_FOLDER = fileURLToPath(new URL("kubernetes/", import.meta.url));
/** Written last, so it also says that the binaries are all there. Its digests are the machine's: another Go makes other ones. */
const MANIFEST_NAME = "binaries.sha256";

/**
 * @typedef {object} KubernetesBinaries
 * @property {string} folder holds `bin/` and, once they are all there, `binaries.sha256`
 * @property {string} version of Kubernetes, as 1.34.4
 */

/**
 * Where this checkout's Kubernetes is or will be: keyed by version and by what pins it, so checkouts share what is the same.
 * @param {NodeJS.ProcessEnv} [environment] `PUSHFLEET_CACHE`, by default `~/.cache/pushfleet`
 * @returns {KubernetesBinaries}
 */
export function locateKubernetesBinaries(environment = process.env) {
  const cache = environment["PUSHFLEET_CACHE"] || join(homedir(), ".cache", "pushfleet");
  const pins = ["kubernetes", "etcd"].flatMap((name) => [readPin(name, "go.mod"), readPin(name, "go.sum")]).join("\n");
  const version = /^\s*k8s\.io\/kubernetes v(\S+)/m.exec(pins)?.[1];
  if (version === undefined) throw new Error(`${MODULES_FOLDER}kubernetes/go.mod requires no k8s.io/kubernetes`);
  const key = createHash("sha256").update(pins).digest("hex").slice(0, 12);
  return { folder: join(cache, `kubernetes-${version}-${key}`), version };
}

/**
 * @param {string} name
 * @param {string} file
 */
const readPin = (name, file) => readFileSync(join(MODULES_FOLDER, name, file), "utf8");

/**
 * What to do when they are missing, for the reason of skipped tests.
 * @param {boolean} hasGo
 */
export const kubernetesRemedy = (hasGo) =>
  `${hasGo ? "" : `install Go ${GO_VERSION} or later (https://go.dev/dl), then `}run node test/peers/provide.mjs`;

/**
 * Whether the binaries were once completed. Cheap: it does not read them.
 * @param {KubernetesBinaries} binaries
 */
export const areKubernetesBinariesComplete = (binaries) => existsSync(join(binaries.folder, MANIFEST_NAME));

/**
 * What is wrong with the binaries by the manifest that was written when they were built; empty when they are whole.
 * @param {KubernetesBinaries} binaries
 * @returns {Promise<readonly string[]>}
 */
export async function checkKubernetesBinaries(binaries) {
  if (!areKubernetesBinariesComplete(binaries)) return [`${binaries.folder} is not complete`];
  const folder = join(binaries.folder, "bin");
  const manifest = parseManifest(readFileSync(join(binaries.folder, MANIFEST_NAME), "utf8"));
  const unlisted = KUBERNETES_PROGRAMS.filter((name) => !manifest.has(name)).map((name) => `${name} is not listed`);
  return [...unlisted, ...manifestFaults(manifest, existsSync(folder) ? await readFolderManifest(folder) : new Map())];
}

/**
 * Makes sure that the binaries are in the cache and whole; builds them if they are not: 0.5 s warm, 4 to 13 minutes cold on two idle
 * cores, a minute when Go's own cache has the packages. Needs Go and the network only when something is wrong.
 * @param {(line: string) => void} report gets a line before what takes long, and how far it is
 * @param {KubernetesBinaries} [binaries]
 * @param {(bin: string, binaries: KubernetesBinaries, report: (line: string) => void) => Promise<void>} [build] for tests
 * @returns {Promise<"reused" | "built">}
 */
export async function provideKubernetesBinaries(report, binaries = locateKubernetesBinaries(), build = buildAll) {
  if ((await checkKubernetesBinaries(binaries)).length === 0) return "reused";
  const notice = setTimeout(() => report(`kubernetes: waiting for another checkout's build of ${binaries.version}`), LOCK_NOTICE_MS);
  const work = async () => {
    clearTimeout(notice);
    const faults = await checkKubernetesBinaries(binaries); // another checkout may have built them while we waited
    if (faults.length === 0) return "reused";
    report(`kubernetes: building ${binaries.version}, once (${faults.slice(0, 3).join(", ")})`);
    await buildInto(binaries, report, build);
    return "built";
  };
  return withFileLock(`${binaries.folder}.lock`, work, LOCK_WAIT_SECONDS).finally(() => clearTimeout(notice));
}

/**
 * Everything goes into a folder of its own that takes the final name last, so the name never stands for a half-made one.
 * Only for the holder of the lock: what lies under these names is a killed run's, or damaged.
 * @param {KubernetesBinaries} binaries
 * @param {(line: string) => void} report
 * @param {(bin: string, binaries: KubernetesBinaries, report: (line: string) => void) => Promise<void>} build
 */
async function buildInto(binaries, report, build) {
  const partial = `${binaries.folder}.partial`;
  const bin = join(partial, "bin");
  await rm(partial, { recursive: true, force: true });
  await mkdir(bin, { recursive: true });
  await build(bin, binaries, report);
  const made = await readFolderManifest(bin);
  const missing = KUBERNETES_PROGRAMS.filter((name) => !made.has(name));
  if (missing.length > 0) throw new Error(`kubernetes: Go built no ${missing.join(", ")}`);
  await writeFile(join(partial, MANIFEST_NAME), formatManifest(made));
  await rm(binaries.folder, { recursive: true, force: true });
  await rename(partial, binaries.folder);
}

/**
 * @param {string} bin
 * @param {KubernetesBinaries} binaries
 * @param {(line: string) => void} report
 */
async function buildAll(bin, { version }, report) {
  const [major, minor] = version.split(".");
  const stamp = "k8s.io/component-base/version";
  // Without the version they call themselves v0.0.0-master+$Format:%H$.
  const values = [`gitVersion=v${version}`, `gitMajor=${major}`, `gitMinor=${minor}`, "gitTreeState=clean"];
  const programs = KUBERNETES_PROGRAMS.filter((name) => name !== "etcd");
  try {
    await buildWithGo(
      {
        name: "kubernetes",
        moduleFolder: join(MODULES_FOLDER, "kubernetes"),
        packages: programs.map((name) => `k8s.io/kubernetes/cmd/${name}`),
        ldflags: ["-s -w", ...values.map((value) => `-X ${stamp}.${value}`)].join(" "),
        output: `${bin}/`,
      },
      report,
    );
    await buildWithGo(
      {
        name: "etcd",
        moduleFolder: join(MODULES_FOLDER, "etcd"),
        packages: ["go.etcd.io/etcd/server/v3"],
        ldflags: "-s -w",
        output: join(bin, "etcd"),
      },
      report,
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Kubernetes ${version} could not be built: it needs Go ${GO_VERSION} or later and the Go module proxy.\n${why}`, {
      cause,
    });
  }
}
