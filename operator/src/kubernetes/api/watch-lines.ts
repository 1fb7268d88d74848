import { isMapping } from "@pushfleet/protocol";
import type { KubernetesObject, WatchEvent } from "./types.js";

const newline = 0x0a;

/** Cuts a byte stream into lines, whatever the pieces it comes in. A line longer than `lineBytesMax` is given up: `overflow`. */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;
  overflow = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** The lines that are complete by now, without their ends; empty ones are left out. */
  push(chunk: Buffer): readonly string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end));
      if (this.overflow) return lines;
      if (this.#bytes > 0) lines.push(this.rest());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** What stands after the last end of a line; it is forgotten. */
  rest(): string {
    const [first] = this.#parts;
    const text = (this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts)).toString("utf8");
    this.#parts = [];
    this.#bytes = 0;
    return text;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#bytes += part.length;
    this.overflow ||= this.#bytes > this.#lineBytesMax;
    if (!this.overflow) this.#parts.push(part);
  }
}

const objectTypes: readonly string[] = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"];

/** One line of a watch. `undefined`: it is none, and nothing that follows it can be trusted. */
export function parseWatchLine<T extends KubernetesObject>(line: string): WatchEvent<T> | undefined {
  const event = parseJson(line);
  if (!isMapping(event) || !isMapping(event["object"])) return undefined;
  const { type, object } = event;
  if (type === "ERROR") return { type, object: object as Extract<WatchEvent<T>, { type: "ERROR" }>["object"] };
  if (typeof type !== "string" || !objectTypes.includes(type) || !isMapping(object)) return undefined;
  const { metadata } = object;
  if (!isMapping(metadata) || !isText(metadata["resourceVersion"])) return undefined;
  if (type !== "BOOKMARK" && !(isText(metadata["name"]) && isText(metadata["uid"]))) return undefined;
  return { type, object } as unknown as WatchEvent<T>;
}

/** `undefined` for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
