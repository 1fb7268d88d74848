import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { freePort } from "./free-port.js";
import { checkKafkaJars, locateKafkaJars } from "./kafka-jars.mjs";
import { observePeer } from "./peer-state.mjs";
import { type RunningProcess, startProcess } from "./process.js";
import { type ServerPlace, ServerProcess, startServer } from "./server-process.js";

/** A start takes 2 s, of which formatting the data folder 0.6 s (2 idle cores): this is for busy ones. Also a hook's timeout. */
export const KAFKA_START_DEADLINE_MS = 60_000;

/** A topic's name and its number of partitions. */
export type Topics = Readonly<Record<string, number>>;

export interface KafkaOptions {
  /** Made before `startKafka` returns. */
  readonly topics?: Topics;
  /** Whether using an unknown topic makes it (with one partition). Default: no. */
  readonly autoCreateTopics?: boolean;
  /** Lines of server.properties, after ours, so they win: `["message.max.bytes=100000"]`. */
  readonly config?: readonly string[];
  /** Options of the JVM, after ours. Ours are for a quick start; a benchmark wants `-XX:TieredStopAtLevel=4 -Xmx2g`. */
  readonly javaOptions?: readonly string[];
}

/** What a test needs of a Kafka it shares. */
export interface KafkaPeer {
  readonly brokers: readonly string[];
  /** Resolves when each partition has a leader. A given Kafka may have others' topics: choose a name of your own. */
  createTopic(name: string, partitions: number): Promise<void>;
  stop(): Promise<void>;
}

export class KafkaServer extends ServerProcess implements KafkaPeer {
  readonly brokers: readonly string[] = [`127.0.0.1:${this.port}`];

  createTopic(name: string, partitions: number): Promise<void> {
    return createTopics(this.brokers, { [name]: partitions });
  }
}

/** The Kafka of `PUSHFLEET_TEST_KAFKA_BROKERS` (a list by comma), or one of our own. For suites that ask for the peer "kafka". */
export async function useKafka(topics: Topics = {}): Promise<KafkaPeer> {
  const state = observePeer("kafka");
  if (state.kind !== "given") return startKafka({ topics });
  const brokers = state.value.split(",");
  await createTopics(brokers, topics);
  return { brokers, createTopic: (name, partitions) => createTopics(brokers, { [name]: partitions }), stop: async () => {} };
}

/** Starts an empty Kafka of our own, one KRaft node. For "kafka-server". */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const jars = locateKafkaJars();
  const faults = await checkKafkaJars(jars);
  if (faults.length > 0) throw new Error(`damaged Kafka jars: ${faults.join(", ")}; run node test/peers/provide.mjs`);
  const server = await startServer("kafka", undefined, async (place) => {
    const configFile = join(place.folder.path, "server.properties");
    await writeFile(configFile, buildConfig(place, await freePort(), options));
    const java = ["-cp", join(jars.folder, "jars", "*"), ...javaOptions(place), ...(options.javaOptions ?? [])];
    await formatStorage(java, configFile);
    const launch = (): Promise<RunningProcess> =>
      startProcess({
        name: `kafka on port ${place.port}`,
        command: "java",
        args: [...java, "kafka.Kafka", configFile],
        ready: (line) => line.includes("Kafka Server started"),
        readyDeadlineMs: KAFKA_START_DEADLINE_MS,
      });
    return new KafkaServer(place, launch, await launch());
  });
  try {
    await createTopics(server.brokers, options.topics ?? {});
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Any cluster id does: each server has a cluster of its own. */
async function formatStorage(java: readonly string[], configFile: string): Promise<void> {
  const args = [...java, "kafka.tools.StorageTool", "format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config", configFile];
  const ready = (line: string): boolean => line.startsWith("Formatting metadata directory");
  const format = await startProcess({ name: "kafka's StorageTool", command: "java", args, ready });
  const exit = await format.exited;
  if (exit.code !== 0) throw new Error(`kafka's StorageTool: exit code ${exit.code}\n${format.lines().join("\n")}`);
}

/** Little compilation, one collector thread, warnings only but for the line that says it is ready, nothing left in /tmp. */
function javaOptions(place: ServerPlace): readonly string[] {
  return [
    "-Xms128m",
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    `-Djava.io.tmpdir=${place.folder.path}`,
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
  ];
}

function buildConfig(place: ServerPlace, controllerPort: number, options: KafkaOptions): string {
  const lines = [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${place.port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${place.port}`,
    "controller.listener.names=CONTROLLER",
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    `log.dirs=${join(place.folder.path, "data")}`,
    `auto.create.topics.enable=${options.autoCreateTopics ?? false}`,
    "group.initial.rebalance.delay.ms=0",
    ...ONE_NODE,
    ...(options.config ?? []),
  ];
  return `${lines.join("\n")}\n`;
}

/** Inner topics with one partition and no copies; a few threads and small buffers (a cleaner takes 128 MiB by default). After a
 *  crash a node must wait for the end of its old session before it may come back: 2 s, not the default 9 s. */
const ONE_NODE: readonly string[] = [
  "offsets.topic.num.partitions=1",
  "offsets.topic.replication.factor=1",
  "transaction.state.log.num.partitions=1",
  "transaction.state.log.replication.factor=1",
  "transaction.state.log.min.isr=1",
  "share.coordinator.state.topic.num.partitions=1",
  "share.coordinator.state.topic.replication.factor=1",
  "share.coordinator.state.topic.min.isr=1",
  "broker.session.timeout.ms=2000",
  "broker.heartbeat.interval.ms=500",
  "num.network.threads=1",
  "num.io.threads=2",
  "background.threads=2",
  "log.cleaner.dedupe.buffer.size=2097152",
];

async function createTopics(brokers: readonly string[], topics: Topics): Promise<void> {
  const wanted = Object.entries(topics).map(([topic, numPartitions]) => ({ topic, numPartitions }));
  if (wanted.length === 0) return;
  await withAdmin(brokers, (admin) => admin.createTopics({ topics: wanted, waitForLeaders: true }));
}

async function withAdmin<T>(brokers: readonly string[], work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ clientId: "pushfleet-test-admin", brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
