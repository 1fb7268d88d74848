import { parseConnectionId, parseIncarnation } from "@pushfleet/protocol";
import type { Entry } from "./registry.js";

/** `incarnation|connection|fence`, at most 10 + 1 + 11 + 1 + 16 = 39 bytes: Redis keeps hashes of values up to 64 bytes as a listpack. */
export function formatEntry(entry: Entry): string {
  return `${entry.incarnation}|${entry.connection}|${entry.fence}`;
}

/** `undefined` for what no worker of ours wrote. */
export function parseEntry(text: string): Entry | undefined {
  const [incarnationText, connectionText, fenceText, ...rest] = text.split("|");
  const incarnation = parseIncarnation(incarnationText);
  const connection = parseConnectionId(connectionText);
  if (incarnation === undefined || connection === undefined || rest.length > 0) return undefined;
  const fence = /^\d{1,16}$/.test(fenceText ?? "") ? Number(fenceText) : Number.NaN;
  return Number.isSafeInteger(fence) ? { incarnation, connection, fence } : undefined;
}

export function isSameConnection(a: Pick<Entry, "incarnation" | "connection">, b: Pick<Entry, "incarnation" | "connection">): boolean {
  return a.incarnation === b.incarnation && a.connection === b.connection;
}
