import { type Logger, pino } from "pino";

export type { Logger } from "pino";

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines on stdout: constant messages plus fields; never tokens, never payloads. */
export function createLogger(part: string, level: LogLevel = "info"): Logger {
  return pino({ level, base: { part }, formatters: { level: (label) => ({ level: label }) }, timestamp: pino.stdTimeFunctions.isoTime });
}
