import { parseArgs } from "node:util";
import { measureDeliveries } from "./deliveries.mjs";
import { measureHandshakes } from "./handshakes.mjs";
import { machineFacts } from "./machine.mjs";
import { measureOperator } from "./operator.mjs";
import { printFigures, printResult } from "./report.mjs";
import { measureRss } from "./rss.mjs";

const benchmarks = { rss: measureRss, handshakes: measureHandshakes, deliveries: measureDeliveries, operator: measureOperator };
const usage = `node bench/run.mjs [${Object.keys(benchmarks).join("|")}] [--quick] [--server-flags="--cpu-prof …"]
`;

/** @returns {Promise<number>} 0 measured, whatever the figures; 1 a measurement failed; 2 wrong arguments */
async function run() {
  const options = parseOptions();
  if (options === undefined) {
    process.stderr.write(usage);
    return 2;
  }
  process.stdout.write(`${machineFacts().join("\n")}\n`);
  let failed = 0;
  for (const [name, measure] of Object.entries(benchmarks)) {
    if (options.only !== undefined && options.only !== name) continue;
    try {
      const found = await measure(options);
      if ("figures" in found) printFigures(found);
      else printResult(found);
    } catch (error) {
      failed++;
      process.stderr.write(`\nbench ${name} failed: ${error instanceof Error ? error.message : error}\n`);
    }
  }
  return failed === 0 ? 0 : 1;
}

function parseOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { only: { type: "string" }, quick: { type: "boolean", default: false }, "server-flags": { type: "string", default: "" } },
    });
    const only = values.only ?? positionals[0];
    if (positionals.length > 1 || (only !== undefined && !Object.hasOwn(benchmarks, only))) return undefined;
    return { only, quick: values.quick, serverFlags: values["server-flags"].split(" ").filter((flag) => flag !== "") };
  } catch {
    return undefined;
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1)); // the children go with us
process.exit(await run());
