import { createRequire } from "node:module";
import { runPart } from "@pushfleet/service";
import { operatorRefinements, operatorSchema } from "./configuration.js";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** The process `pushfleet-operator`. Returns its exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runPart(
    {
      command: "pushfleet-operator",
      part: "operator",
      environmentPrefix: "PUSHFLEET_OPERATOR_",
      schema: operatorSchema,
      refinements: operatorRefinements,
      version,
      // Loaded when it is to start: what talks to Kubernetes is most of its start and memory, and --help and --check need none of it.
      start: async (config, logger) => (await import("./start-operator.js")).startOperator(config, logger),
    },
    argv,
  );
}
