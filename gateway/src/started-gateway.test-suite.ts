import { afterEach } from "vitest";
import { ExampleGateway, type ExampleOptions } from "./example-gateway.test-suite.js";

/** The gateway of the test that runs, once it has called `start`; it is stopped at the test's end. */
export let example: ExampleGateway;

export async function start(options: ExampleOptions = {}): Promise<ExampleGateway> {
  example = await ExampleGateway.start(options);
  return example;
}

afterEach(async () => await example?.stop());
