// @ts-check
import { join } from "node:path";
import { aptLine } from "./debian-packages.mjs";
import { findProgram } from "./find-program.mjs";
import { areKafkaJarsComplete, locateKafkaJars } from "./kafka-jars.mjs";
import { areKubernetesBinariesComplete, KUBERNETES_PROGRAMS, kubernetesRemedy, locateKubernetesBinaries } from "./kubernetes-binaries.mjs";

/**
 * What a suite can ask for. "redis" and "kafka" may be a server that the environment names, shared with others; "redis-server"
 * and "kafka-server" are always our own, to stop, pause and configure, as is "kubernetes": its program is the folder of its programs. `detail` is for people.
 * @typedef {"redis" | "redis-server" | "kafka" | "kafka-server" | "haproxy" | "kubernetes"} PeerName
 *
 * @typedef {{ kind: "given", variable: string, value: string }
 *   | { kind: "startable", program: string, detail: string }
 *   | { kind: "missing", reason: string, packages: readonly string[] }} PeerState
 */

/** What to do about a missing peer, at the end of each reason. */
const PROVIDE = "run node test/peers/provide.mjs";

/**
 * Whether a peer can be had here, without starting or installing anything: a few look-ups in the file system.
 * @param {PeerName} name
 * @param {NodeJS.ProcessEnv} [environment]
 * @returns {PeerState}
 */
export function observePeer(name, environment = process.env) {
  switch (name) {
    case "redis":
      return given("PUSHFLEET_TEST_REDIS_URL", environment) ?? observePeer("redis-server", environment);
    case "redis-server":
      return observeProgram("redis-server", "redis-server", environment);
    case "kafka":
      return given("PUSHFLEET_TEST_KAFKA_BROKERS", environment) ?? observePeer("kafka-server", environment);
    case "kafka-server":
      return observeKafkaServer(environment);
    case "haproxy":
      return observeHaproxy(environment);
    case "kubernetes":
      return observeKubernetes(environment);
    default:
      throw new Error(`no such peer: ${name}`);
  }
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @returns {PeerState}
 */
function observeKafkaServer(environment) {
  const java = observeProgram("java", "default-jre-headless", environment);
  const jars = locateKafkaJars(environment);
  if (areKafkaJarsComplete(jars)) return java.kind === "startable" ? { ...java, detail: `${java.program}, ${jars.folder}` } : java;
  const maven = observeProgram("mvn", "maven", environment);
  const packages = [java, maven].flatMap((state) => (state.kind === "missing" ? state.packages : []));
  return { kind: "missing", reason: `no Kafka ${jars.version} in ${jars.folder}: ${remedy(packages)}`, packages };
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @returns {PeerState}
 */
function observeHaproxy(environment) {
  const path = given("PUSHFLEET_TEST_HAPROXY", environment);
  if (path === undefined) return observeProgram("haproxy", "haproxy", environment);
  if (findProgram(path.value, environment) !== undefined) return path;
  return { kind: "missing", reason: `${path.variable}=${path.value} is not an executable file`, packages: [] };
}

/**
 * @param {NodeJS.ProcessEnv} environment
 * @returns {PeerState}
 */
function observeKubernetes(environment) {
  const folder = given("PUSHFLEET_TEST_KUBERNETES_BIN", environment);
  if (folder !== undefined) {
    const absent = KUBERNETES_PROGRAMS.filter((name) => findProgram(join(folder.value, name), environment) === undefined);
    if (absent.length === 0) return folder;
    return { kind: "missing", reason: `${folder.variable}=${folder.value} has no ${absent.join(", ")}`, packages: [] };
  }
  const binaries = locateKubernetesBinaries(environment);
  const bin = join(binaries.folder, "bin");
  if (areKubernetesBinariesComplete(binaries)) return { kind: "startable", program: bin, detail: bin };
  const remedy = kubernetesRemedy(findProgram("go", environment) !== undefined);
  return { kind: "missing", reason: `no Kubernetes ${binaries.version} in ${binaries.folder}: ${remedy}`, packages: [] };
}

/**
 * @param {string} program
 * @param {string} debianPackage
 * @param {NodeJS.ProcessEnv} environment
 * @returns {PeerState}
 */
function observeProgram(program, debianPackage, environment) {
  const path = findProgram(program, environment);
  if (path !== undefined) return { kind: "startable", program: path, detail: path };
  return { kind: "missing", reason: `no ${program}: ${remedy([debianPackage])}`, packages: [debianPackage] };
}

/**
 * @param {string} variable
 * @param {NodeJS.ProcessEnv} environment
 * @returns {{ kind: "given", variable: string, value: string } | undefined}
 */
function given(variable, environment) {
  const value = environment[variable];
  return value === undefined || value === "" ? undefined : { kind: "given", variable, value };
}

/** @param {readonly string[]} packages */
const remedy = (packages) => (packages.length === 0 ? PROVIDE : `${PROVIDE} as root, or ${aptLine(packages)}`);
