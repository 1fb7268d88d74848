/** Lines kept; a process that logs more loses its oldest ones. */
const LINES_MAX = 5_000;
/** A line that is longer is cut here, so that output without line ends cannot fill the memory. */
const LINE_CHARACTERS_MAX = 256 * 1024;

export type LineListener = (line: string) => void;

/** The last lines of a growing text, told to listeners one by one as they are completed. */
export class LineTail {
  readonly #lines: string[] = [];
  readonly #listeners = new Set<LineListener>();

  /** A sink for the chunks of one stream; each stream has its own, so that lines of two are never mixed. */
  sink(): { write(chunk: string): void; end(): void } {
    let rest = "";
    const write = (chunk: string): void => {
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(0, LINE_CHARACTERS_MAX);
      for (const line of lines) this.#add(line);
    };
    const end = (): void => {
      if (rest !== "") this.#add(rest);
      rest = "";
    };
    return { write, end };
  }

  /** Oldest first. */
  lines(): readonly string[] {
    return [...this.#lines];
  }

  /** Returns what ends it. */
  listen(listener: LineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    for (const listener of [...this.#listeners]) listener(line);
  }
}
