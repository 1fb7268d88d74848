// @ts-check
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withFileLock } from "./file-lock.mjs";
import { manifestFaults, parseManifest, readFolderManifest } from "./manifest.mjs";
import { runCommand } from "./run-command.mjs";

const MAVEN_TIMEOUT_MS = 600_000;
const COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const POM_FILE = fileURLToPath(new URL("kafka/pom.xml", import.meta.url));
/** Written by `kafka/write-manifest.mjs`. */
export const MANIFEST_FILE = fileURLToPath(new URL("kafka/jars.sha256", import.meta.url));

/**
 * @typedef {object} KafkaJars
 * @property {string} folder holds `jars/` and, once they are all there and checked, the empty file `complete`
 * @property {string} version of Kafka
 */

/**
 * Where this checkout's Kafka is or will be: keyed by version and manifest, so checkouts share what is the same and never
 * overwrite what is not.
 * @param {NodeJS.ProcessEnv} [environment] `PUSHFLEET_CACHE`, by default `~/.cache/pushfleet`
 * @returns {KafkaJars}
 */
export function locateKafkaJars(environment = process.env) {
  const cache = environment["PUSHFLEET_CACHE"] || join(homedir(), ".cache", "pushfleet");
  const manifest = readFileSync(MANIFEST_FILE, "utf8");
  const version = /kafka_2\.13-(\S+)\.jar/.exec(manifest)?.[1];
  if (version === undefined) throw new Error(`${MANIFEST_FILE} names no kafka_2.13 jar`);
  const key = createHash("sha256").update(manifest).digest("hex").slice(0, 12);
  return { folder: join(cache, `kafka-${version}-${key}`), version };
}

/**
 * Whether the jars were once completed. Cheap: it does not read them.
 * @param {KafkaJars} jars
 */
export const areKafkaJarsComplete = (jars) => existsSync(join(jars.folder, "complete"));

/**
 * What is wrong with the jars by the committed manifest; empty when they are whole.
 * @param {KafkaJars} jars
 * @returns {Promise<readonly string[]>}
 */
export async function checkKafkaJars(jars) {
  if (!areKafkaJarsComplete(jars)) return [`${jars.folder} is not complete`];
  const folder = join(jars.folder, "jars");
  return manifestFaults(committedManifest(), existsSync(folder) ? await readFolderManifest(folder) : new Map());
}

/**
 * Makes sure that the jars are in the cache and whole, from Maven if they are not: 0.1 s warm, 4 s to a minute cold. Needs
 * `mvn` only when something is wrong. A running Kafka keeps the jars it has open.
 * @param {(line: string) => void} report gets a line before what takes long
 * @param {KafkaJars} [jars]
 * @returns {Promise<"reused" | "built">}
 */
export async function provideKafkaJars(report, jars = locateKafkaJars()) {
  if ((await checkKafkaJars(jars)).length === 0) return "reused";
  return withFileLock(`${jars.folder}.lock`, async () => {
    const faults = await checkKafkaJars(jars); // another checkout may have built them while we waited
    if (faults.length === 0) return "reused";
    report(`kafka: fetching ${jars.version} from Maven (${faults.slice(0, 3).join(", ")})`);
    await buildKafkaJars(jars);
    return "built";
  });
}

/**
 * Everything goes into a folder of its own that takes the final name last, so the name never stands for a half-made one.
 * Only for the holder of the lock: what lies under these names is a killed run's, or damaged.
 * @param {KafkaJars} jars
 */
async function buildKafkaJars(jars) {
  const partial = `${jars.folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await rm(join(jars.folder, "complete"), { force: true });
  await copyKafkaJars(join(partial, "jars"));
  const faults = manifestFaults(committedManifest(), await readFolderManifest(join(partial, "jars")));
  if (faults.length > 0) {
    throw new Error(
      `Maven gave other jars than ${MANIFEST_FILE} lists: ${faults.join(", ")}. Damaged ones in its local repository can be deleted there`,
    );
  }
  await writeFile(join(partial, "complete"), "");
  await rm(jars.folder, { recursive: true, force: true });
  await rename(partial, jars.folder);
}

const committedManifest = () => parseManifest(readFileSync(MANIFEST_FILE, "utf8"));

/**
 * Copies the jars that the pom names, and all they need, from Maven.
 * @param {string} folder
 */
export async function copyKafkaJars(folder) {
  await mkdir(folder, { recursive: true });
  const args = ["-q", "-B", "-f", POM_FILE, COPY_DEPENDENCIES, `-DoutputDirectory=${folder}`, "-DincludeScope=runtime"];
  await runCommand("mvn", args, { timeoutMs: MAVEN_TIMEOUT_MS });
}
