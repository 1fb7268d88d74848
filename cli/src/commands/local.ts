import type { ExitCode, Io, OutputFormat } from "../io.js";
import { localFaults } from "../local/configurations.js";
import { LocalFleet } from "../local/local-fleet.js";
import { type LocalOutput, localOutput } from "../local/local-output.js";
import { describeUnusable, faultsOf, type ReadManifest, readManifest } from "../local/manifest-file.js";
import { readSecret, type SecretOptions } from "./secret.js";
import { signToken } from "./token.js";

export interface LocalOptions extends SecretOptions {
  readonly file: string;
  readonly quiet?: boolean | undefined;
  readonly output: OutputFormat;
}

/** Fixed, so that what a guide says is true on every machine; all on loopback. */
export const localPorts = { client: 8080, http: 8081, console: 8090 } as const;

const liveLineMs = 1_000;

/** Runs a fleet until a signal; then closes everything with 1001, without a drain. 0: stopped by a signal; 1: it did not come up; 2: the
 *  manifest or the secret is wrong, nothing was started. */
export async function local(options: LocalOptions, io: Io): Promise<ExitCode> {
  const output = localOutput(options.output, io);
  const read = readFeasible(options.file);
  const secret = readSecret(options);
  if (read.kind !== "manifest") output.refused(faultsOf(options.file, read), describeUnusable(options.file, read));
  if (secret.kind === "fault") output.failed(secret.fault);
  if (read.kind !== "manifest" || secret.kind === "fault") return 2;
  const fleet = new LocalFleet({
    manifestFile: options.file,
    manifest: read.manifest,
    jwtSecret: secret.secret,
    ports: localPorts,
    report: output.report,
  });
  try {
    await Promise.race([fleet.start(), aborted(io.signal)]);
    if (!io.signal.aborted) await follow(fleet, { ...options, secret: secret.secret }, output, io);
  } catch (cause) {
    output.failed(explain(cause));
    await fleet.stop();
    return 1;
  }
  output.stopping();
  await fleet.stop();
  return 0;
}

/** A manifest that is right and that this machine can follow. */
function readFeasible(file: string): ReadManifest {
  const read = readManifest(file);
  const faults = read.kind === "manifest" ? localFaults(read.manifest) : [];
  return faults.length > 0 ? { kind: "faults", faults } : read;
}

/** Tells what happens, until a signal. */
async function follow(
  fleet: LocalFleet,
  options: { readonly secret: string; readonly quiet?: boolean | undefined },
  output: LocalOutput,
  io: Io,
): Promise<void> {
  output.up({
    fleet: fleet.name,
    file: fleet.manifestFile,
    clients: `ws://127.0.0.1:${localPorts.client}/connect`,
    publish: `http://127.0.0.1:${localPorts.http}/v1/notifications`,
    console: `http://127.0.0.1:${localPorts.console}`,
    token: await signToken({ user: "usr_42", ttlSeconds: 3600, secret: options.secret }),
  });
  const timer = options.quiet === true ? undefined : setInterval(() => output.live(fleet.live()), liveLineMs);
  await aborted(io.signal);
  clearInterval(timer);
}

function explain(cause: unknown): string {
  const error = cause as NodeJS.ErrnoException;
  if (error.code === "EADDRINUSE") return `${error.message}: another program (or another pushfleet local) has this port, stop it first`;
  return error.message;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
