import { readFileSync } from "node:fs";
import type { ExitCode, Io } from "../io.js";
import { localFaults } from "../local/configurations.js";
import { describeLive } from "../local/live-line.js";
import { LocalFleet } from "../local/local-fleet.js";
import { describeUnusable, readManifest } from "../local/manifest-file.js";

export interface LocalOptions {
  readonly file: string;
  readonly jwtSecret: string;
  readonly jwtSecretFile?: string | undefined;
  readonly quiet?: boolean | undefined;
}

/** Fixed, so that what a guide says is true on every machine; all on loopback. */
export const localPorts = { client: 8080, http: 8081, console: 8090 } as const;

const liveLineMs = 1_000;

/** Runs a fleet until a signal; then closes everything with 1001, without a drain. */
export async function local(options: LocalOptions, io: Io): Promise<ExitCode> {
  const read = readManifest(options.file);
  const missing = read.kind === "manifest" ? localFaults(read.manifest) : [];
  if (read.kind !== "manifest" || missing.length > 0) {
    const unusable = read.kind === "manifest" ? { kind: "faults" as const, faults: missing } : read;
    for (const line of describeUnusable(options.file, unusable)) io.error(`${line}\n`);
    return 2;
  }
  const secret = readSecret(options, io);
  if (secret === undefined) return 2;
  const fleet = new LocalFleet({
    manifestFile: options.file,
    manifest: read.manifest,
    jwtSecret: secret,
    ports: localPorts,
    report: (line) => io.error(`${line}\n`),
  });
  try {
    await fleet.start();
  } catch (cause) {
    io.error(`pushfleet local: ${explain(cause)}\n`);
    await fleet.stop();
    return 1;
  }
  io.out(await welcome(fleet, secret));
  const timer = setInterval(() => {
    if (options.quiet !== true) io.out(`${describeLive(fleet.live())}\n`);
  }, liveLineMs);
  await aborted(io.signal);
  clearInterval(timer);
  io.out("stopping: connections are closed with 1001\n");
  await fleet.stop();
  return 0;
}

function readSecret(options: LocalOptions, io: Io): string | undefined {
  if (options.jwtSecretFile === undefined) {
    if (options.jwtSecret === "") io.error('--jwt-secret: "" is not right, expected at least one character\n');
    return options.jwtSecret === "" ? undefined : options.jwtSecret;
  }
  try {
    const secret = readFileSync(options.jwtSecretFile, "utf8").trim();
    if (secret === "") io.error(`--jwt-secret-file: ${options.jwtSecretFile} is not right, expected at least one character in it\n`);
    return secret === "" ? undefined : secret;
  } catch (cause) {
    io.error(`--jwt-secret-file: ${options.jwtSecretFile} is not right, expected a readable file (${(cause as Error).message})\n`);
    return undefined;
  }
}

function explain(cause: unknown): string {
  const error = cause as NodeJS.ErrnoException;
  if (error.code === "EADDRINUSE") return `${error.message}: another program (or another pushfleet local) has this port, stop it first`;
  return error.message;
}

async function welcome(fleet: LocalFleet, secret: string): Promise<string> {
  const { signToken } = await import("./token.js");
  const token = await signToken({ user: "usr_42", ttlSeconds: 3600, secret });
  const body = '{"user_id":"usr_42","data":{"text":"hello"}}';
  return `
pushfleet ${fleet.name} is up

  clients   ws://127.0.0.1:${localPorts.client}/connect
  publish   http://127.0.0.1:${localPorts.http}/v1/notifications
  console   http://127.0.0.1:${localPorts.console}/api/fleet   /api/events   /metrics

in a second terminal, be usr_42:

  npx --no-install pushfleet listen --token ${token}

in a third, publish to usr_42:

  curl -sS http://127.0.0.1:${localPorts.http}/v1/notifications -H 'content-type: application/json' -d '${body}'

edit ${fleet.manifestFile} and save: it is applied at once. Ctrl-C stops everything.

`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
