import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock } from "./clock.js";
import type { Logger } from "./logging.js";

/** What stands in each file, in the order of the paths. */
export type FileContents = readonly Buffer[];

export interface WatchedFiles {
  /** Looks now; for those who cannot wait. */
  look(): Promise<void>;
  /** What was told last was of no use: it is told again at the next look. */
  forget(): void;
  stop(): void;
}

/** Reads files once, at once; throws Node's error of the first that cannot be read. */
export function readFiles(paths: readonly string[]): FileContents {
  return paths.map((path) => readFileSync(path));
}

export interface WatchOptions {
  readonly clock: Pick<Clock, "every">;
  readonly onChange: (contents: FileContents) => void;
  /** They could not be read; told once, until they can be. */
  readonly onUnreadable: (cause: Error) => void;
}

/** Looks at the contents of `paths` every `limits.fileLookMs` and tells when they are other than `known`. Contents, not events or times: a mounted
 *  secret changes by the swap of a symbolic link in another folder, and the same bytes are no change. Files that cannot be read (being
 *  swapped, gone) are passed over until they can: what was read last serves on. */
export function watchFiles(paths: readonly string[], known: FileContents, options: WatchOptions): WatchedFiles {
  let last = known;
  let wasReadable = true;
  let isLooking = false;
  let isStopped = false;

  const look = async (): Promise<void> => {
    if (isLooking || isStopped) return;
    isLooking = true;
    try {
      const contents = await Promise.all(paths.map((path) => readFile(path)));
      wasReadable = true;
      if (isStopped || contents.every((content, index) => last[index]?.equals(content) === true)) return;
      last = contents;
      options.onChange(contents);
    } catch (cause) {
      if (wasReadable && !isStopped) options.onUnreadable(cause as Error);
      wasReadable = false;
    } finally {
      isLooking = false;
    }
  };

  const cancel: Cancel = options.clock.every(limits.fileLookMs, () => void look());
  return {
    look,
    forget: () => {
      last = [];
    },
    stop: () => {
      isStopped = true;
      cancel();
    },
  };
}

/** What a file says, as it is now. */
export interface FollowedFile<Value> {
  readonly value: Value;
  stop(): void;
}

export interface FollowOptions<Value> {
  /** Its setting, for the log: "http.apiTokensFile". */
  readonly name: string;
  /** Throws with what would be right. */
  readonly parse: (bytes: Buffer) => Value;
  readonly clock: Pick<Clock, "every">;
  readonly logger: Logger;
}

/** Reads `path` and follows it. Throws when it cannot be read or parsed at the start; later what is not right is logged once, and the last that was
 *  serves on. */
export function followFile<Value>(path: string, { name, parse, clock, logger }: FollowOptions<Value>): FollowedFile<Value> {
  const contents = readFiles([path]);
  const parseFirst = ([bytes = Buffer.alloc(0)]: FileContents): Value => parse(bytes);
  let value = parseFirst(contents);
  const onChange = (changed: FileContents): void => {
    try {
      value = parseFirst(changed);
      logger.info({ name, path }, "a file has changed and is in force");
    } catch (cause) {
      logger.warn({ err: cause, name, path }, "a file has changed and is not right, what it said before holds");
    }
  };
  const onUnreadable = (cause: Error): void => logger.warn({ err: cause, name, path }, "a file cannot be read, what it said before holds");
  const watched = watchFiles([path], contents, { clock, onChange, onUnreadable });
  return {
    get value() {
      return value;
    },
    stop: () => watched.stop(),
  };
}
