import { limits } from "@pushfleet/protocol";
import type { Logger } from "@pushfleet/service";
import kafkajs from "kafkajs";

/** A client whose own lines go to our log: constant message, what kafkajs says as a field. */
export function createKafkaClient(brokers: readonly string[], logger: Logger): kafkajs.Kafka {
  return new kafkajs.Kafka({
    clientId: "pushfleet-router",
    brokers: [...brokers],
    connectionTimeout: limits.kafkaConnectMs,
    requestTimeout: limits.kafkaRequestMs,
    logLevel: kafkajs.logLevel.WARN,
    logCreator: () => (entry) => writeEntry(entry, logger),
  });
}

function writeEntry({ level, namespace, log }: kafkajs.LogEntry, logger: Logger): void {
  const { message, error, groupId, broker } = log as kafkajs.LoggerEntryContent & Readonly<Record<string, unknown>>;
  const fields = { namespace, detail: message, error, groupId, broker };
  const isTold = level !== kafkajs.logLevel.ERROR || connectionNamespaces.has(namespace);
  if (isTold) logger.debug(fields, "kafka client notice");
  else logger.warn(fields, "kafka client error");
}

/** That a broker cannot be reached is told by whoever wanted to reach it. */
const connectionNamespaces: ReadonlySet<string> = new Set(["Connection", "BrokerPool"]);
