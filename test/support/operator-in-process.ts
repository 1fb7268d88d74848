import { type Clock, createLogger, type RunningPart, systemClock, validateConfiguration } from "@pushfleet/service";
import { operatorRefinements, operatorSchema } from "../../operator/src/kubernetes/configuration.js";
import { startOperator } from "../../operator/src/kubernetes/start-operator.js";

/** An operator in the test's own process, whose calendar may be ahead of the others' or behind: then what takes days happens now. What it measures
 *  by the monotonic clock takes its time. */
export class OperatorInProcess {
  /** Added to its time of day, in ms. */
  aheadMs: number;
  #running: RunningPart | undefined;

  constructor(aheadMs: number) {
    this.aheadMs = aheadMs;
  }

  /** `configuration`: operator.yaml. */
  async start(configuration: object): Promise<void> {
    const configured = validateConfiguration(operatorSchema, { admin: { port: 0 }, ...configuration }, operatorRefinements);
    if (configured.kind === "faults") throw new Error(JSON.stringify(configured.faults));
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + this.aheadMs };
    this.#running = await startOperator(configured.value, createLogger("operator", "silent"), clock);
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop("SIGTERM");
  }
}
