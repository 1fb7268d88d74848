/** What a command may touch of the process it runs in. */
export interface Io {
  out(text: string): void;
  error(text: string): void;
  /** Aborted at the first SIGINT or SIGTERM: the command stops what it started and returns. */
  readonly signal: AbortSignal;
}

/** How a command ended. 0: done; 1: it failed while it ran; 2: wrong arguments or input, nothing was done. */
export type ExitCode = 0 | 1 | 2;

export type OutputFormat = "text" | "json";
