import { parseArgs } from "node:util";
import { describeFault } from "@pushfleet/protocol";
import type { Static, TObject } from "@sinclair/typebox";
import { stringify } from "yaml";
import { loadConfiguration, maskSecrets, type Refinement } from "./configuration.js";
import { createLogger, type Logger } from "./logging.js";

/** A running part of pushfleet. */
export interface RunningPart {
  /** Addresses for the log line that says the part is ready. */
  readonly addresses: Readonly<Record<string, unknown>>;
  /** Drains and stops; called once, at SIGTERM or SIGINT. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when the part failed at run time; absent: it cannot. */
  readonly failed?: Promise<Error>;
}

export interface PartDefinition<Schema extends TObject> {
  /** `pushfleet-gateway`. */
  readonly command: string;
  readonly part: string;
  readonly environmentPrefix: string;
  readonly schema: Schema;
  /** What the schema cannot say. */
  readonly refinements?: readonly Refinement<Static<Schema>>[] | undefined;
  readonly version: string;
  readonly start: (configuration: Static<Schema>, logger: Logger) => Promise<RunningPart>;
}

/** The whole life of a process: arguments, configuration, start, wait for a signal, stop. Returns the exit code: 0 stopped by a signal
 *  after its drain, 1 failed at run time, 2 bad configuration or arguments (all faults listed on stderr). */
export async function runPart<Schema extends TObject>(definition: PartDefinition<Schema>, argv: readonly string[]): Promise<number> {
  const parsed = parseArguments(argv);
  if (parsed.kind === "bad") {
    process.stderr.write(`${definition.command}: ${parsed.message}\n${usage(definition.command)}`);
    return 2;
  }
  const { values } = parsed;
  if (values.help === true) return print(usage(definition.command));
  if (values.version === true) return print(`${definition.command} ${definition.version}\n`);

  const source = { file: values.config, environmentPrefix: definition.environmentPrefix, environment: process.env };
  const configured = loadConfiguration(definition.schema, source, definition.refinements);
  if (configured.kind === "faults") {
    for (const fault of configured.faults) process.stderr.write(`${definition.command}: ${describeFault(fault)}\n`);
    return 2;
  }
  if (values["print-config"] === true) return print(stringify(maskSecrets(definition.schema, configured.value)));
  if (values.check === true) return print(`${definition.command}: configuration is right\n`);
  return await live(definition, configured.value);
}

async function live<Schema extends TObject>(definition: PartDefinition<Schema>, configuration: Static<Schema>): Promise<number> {
  const logger = createLogger(definition.part);
  const signalled = nextSignal();
  let running: RunningPart;
  try {
    running = await definition.start(configuration, logger);
  } catch (cause) {
    logger.error({ err: cause }, "start failed");
    return 1;
  }
  logger.info({ ...running.addresses }, "ready");
  const ended = await Promise.race([signalled, ...(running.failed === undefined ? [] : [running.failed])]);
  if (ended instanceof Error) {
    logger.error({ err: ended }, "failed");
    return 1;
  }
  logger.info({ signal: ended }, "stopping");
  await running.stop(ended);
  logger.info("stopped");
  return 0;
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
}

function parseArguments(argv: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: "string", short: "c" },
        check: { type: "boolean" },
        "print-config": { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
      },
    });
    return { kind: "values" as const, values };
  } catch (cause) {
    return { kind: "bad" as const, message: (cause as Error).message };
  }
}

function usage(command: string): string {
  return `usage: ${command} -c FILE [--check | --print-config]

  -c, --config FILE  one YAML file; the environment wins over it
  --check            validate the configuration and stop
  --print-config     show the configuration in force, secrets masked
  --version, --help
`;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
