import { run } from "./run.js";

/** The process around `run`: its streams and its signals. */
export async function main(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  process.stdout.on("error", ignoreClosedPipe);
  const code = await run(argv, {
    out: (text) => process.stdout.write(text),
    error: (text) => process.stderr.write(text),
    signal: stop.signal,
  });
  setTimeout(() => process.exit(code), lingerMs).unref();
  return code;
}

/** What a command leaves open (a connection to a Kafka that does not answer) keeps the process alive no longer than this. */
const lingerMs = 1_000;

/** `pushfleet … | head` closes our output: that is no failure. */
function ignoreClosedPipe(cause: NodeJS.ErrnoException): void {
  if (cause.code === "EPIPE") process.exit(0);
  throw cause;
}
