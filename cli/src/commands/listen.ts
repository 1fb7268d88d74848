import { type ClientState, connect, type WebSocketConstructor } from "@pushfleet/client";
import { idExpected, parseDeviceId, parseLastSeen } from "@pushfleet/protocol";
import { WebSocket } from "ws";
import type { ExitCode, Io, OutputFormat } from "../io.js";

export interface ListenOptions {
  readonly token: string;
  readonly url: string;
  readonly device?: string | undefined;
  readonly lastSeen?: string | undefined;
  readonly ack: boolean;
  readonly output: OutputFormat;
}

/** Prints each frame as it comes and acknowledges each notification, until a signal (0) or until the server says never again (1). */
export async function listen(options: ListenOptions, io: Io): Promise<ExitCode> {
  const faults = findFaults(options);
  if (faults.length > 0) {
    for (const fault of faults) io.error(`pushfleet listen: ${fault}\n`);
    return 2;
  }
  return await new Promise((resolve) => {
    const client = connect({
      url: clientUrl(options.url),
      token: options.token,
      device: options.device,
      lastSeen: options.lastSeen,
      WebSocket: WebSocket as unknown as WebSocketConstructor,
      onFrame: (text) => io.out(`${text}\n`),
      onNotification: (notification) => {
        if (options.ack && !notification.read) client.ack([notification.notificationId]);
      },
      onState: (state) => {
        // Why it ended is told in every format: the exit code alone does not.
        if (options.output === "text" || (state.kind === "closed" && !io.signal.aborted)) io.error(`${describeState(state)}\n`);
        if (state.kind === "closed") resolve(io.signal.aborted ? 0 : 1);
      },
    });
    if (io.signal.aborted) client.close();
    io.signal.addEventListener("abort", () => client.close());
  });
}

function findFaults(options: ListenOptions): readonly string[] {
  const faults: string[] = [];
  if (!URL.canParse(options.url) || !/^wss?:$/.test(new URL(options.url).protocol))
    faults.push(`--url: ${options.url} is not right, expected ws://host:port/connect`);
  if (options.device !== undefined && parseDeviceId(options.device) === undefined) faults.push(`--device: expected ${idExpected}`);
  if (options.lastSeen !== undefined && parseLastSeen(options.lastSeen) === undefined)
    faults.push("--last-seen: expected a cursor, ISO 8601 or ms");
  return faults;
}

/** `ws://host:8080` is enough: the path is known. */
function clientUrl(text: string): string {
  const url = new URL(text);
  if (url.pathname === "/") url.pathname = "/connect";
  return url.toString();
}

function describeState(state: ClientState): string {
  switch (state.kind) {
    case "connecting":
      return `# not connected, attempt ${state.attempt} in ${Math.round(state.inMs)} ms`;
    case "live":
      return `# connected to ${state.server}${state.registered ? "" : ", not registered yet"}`;
    case "closed":
      return `# closed: ${state.why}`;
  }
}
