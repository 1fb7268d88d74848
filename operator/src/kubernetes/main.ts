import { createRequire } from "node:module";
import { runPart } from "@pushfleet/service";
import { operatorRefinements, operatorSchema } from "./configuration.js";
import { startOperator } from "./start-operator.js";

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
      start: startOperator,
    },
    argv,
  );
}
