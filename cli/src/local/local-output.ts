import type { Fault } from "@pushfleet/protocol";
import type { Io, OutputFormat } from "../io.js";
import { describeLive, type Live } from "./live-line.js";

export interface FleetIsUp {
  readonly fleet: string;
  readonly file: string;
  readonly clients: string;
  readonly publish: string;
  readonly console: string;
  /** Of usr_42, good for an hour. */
  readonly token: string;
}

/** What `pushfleet local` tells as it runs, in one of the two formats. JSON is a line each, all on standard output, told apart by `kind`. */
export interface LocalOutput {
  /** `lines` say the same in words. */
  refused(faults: readonly Fault[], lines: readonly string[]): void;
  failed(why: string): void;
  up(facts: FleetIsUp): void;
  /** What became of an edit. */
  report(line: string): void;
  live(live: Live): void;
  stopping(): void;
}

export function localOutput(format: OutputFormat, io: Io): LocalOutput {
  return format === "json" ? jsonOutput(io) : textOutput(io);
}

function jsonOutput(io: Io): LocalOutput {
  const line = (kind: string, fields: object): void => io.out(`${JSON.stringify({ kind, ...fields })}\n`);
  return {
    refused: (faults) => line("refused", { faults }),
    failed: (message) => line("failed", { message }),
    up: (facts) => line("up", facts),
    report: (message) => line("report", { message }),
    live: ({ status, deliveriesPerSecond }) =>
      line("status", {
        podsByState: status?.podsByState,
        connections: status?.connections,
        capacity: status?.capacity,
        deliveriesPerSecond,
        next: status?.plan[0] ?? null,
      }),
    stopping: () => line("stopping", {}),
  };
}

function textOutput(io: Io): LocalOutput {
  const errorLine = (text: string): void => io.error(`${text}\n`);
  return {
    refused: (_, lines) => lines.forEach(errorLine),
    failed: (why) => errorLine(`pushfleet local: ${why}`),
    up: (facts) => io.out(welcome(facts)),
    report: errorLine,
    live: (live) => io.out(`${describeLive(live)}\n`),
    stopping: () => io.out("stopping: connections are closed with 1001\n"),
  };
}

function welcome({ fleet, file, clients, publish, console, token }: FleetIsUp): string {
  return `
pushfleet ${fleet} is up

  clients   ${clients}
  publish   ${publish}
  console   ${console}/api/fleet   /api/events   /metrics

in a second terminal, be usr_42:

  npx --no-install pushfleet listen --token ${token}

in a third, publish to usr_42:

  curl -sS ${publish} -H 'content-type: application/json' -d '{"user_id":"usr_42","data":{"text":"hello"}}'

edit ${file} and save: it is applied at once. Ctrl-C stops everything.

`;
}
