import { readdirSync, readFileSync, statSync } from "node:fs";
import { totalmem } from "node:os";

/** What the machine and its cgroup say about this process. */
export interface MachineFacts {
  /** RLIMIT_NOFILE in force; Node raises the soft limit to the hard one when it starts. */
  readonly nofile: number | undefined;
  /** Of the cgroup (version 1 or 2), or of the machine when it has none. */
  readonly memoryLimitBytes: number;
}

const unlimitedBytes = 2 ** 60;

export function readMachine(): MachineFacts {
  return { nofile: readNofile(), memoryLimitBytes: memoryLimitBytes() };
}

export function memoryLimitBytes(): number {
  return memoryLimit() ?? totalmem();
}

/** Of the cgroup; `undefined`: it has none, or one above what the machine has. */
export function memoryLimit(): number | undefined {
  const limit = readCgroup("memory.max", "memory.limit_in_bytes");
  return limit === undefined || limit >= totalmem() ? undefined : limit;
}

/** Of the whole container, what its kernel buffers take included; of this process where there is no cgroup. */
export function memoryBytes(): number {
  return readCgroup("memory.current", "memory.usage_in_bytes") ?? process.memoryUsage.rss();
}

/** 0 where it cannot be known. From Linux 6.2 on the size of the folder says it, and no list of a million files has to be made. */
export function openFiles(): number {
  try {
    const size = statSync("/proc/self/fd").size;
    return size > 0 ? size : readdirSync("/proc/self/fd").length;
  } catch {
    return 0; // not Linux
  }
}

function readNofile(): number | undefined {
  const line = /^Max open files\s+(\S+)/m.exec(readText("/proc/self/limits") ?? "")?.[1];
  const nofile = Number(line);
  return Number.isFinite(nofile) ? nofile : undefined;
}

/** A container usually sees its own cgroup as the root; on a machine the path stands in /proc/self/cgroup. */
function readCgroup(version2: string, version1: string): number | undefined {
  const lines = (readText("/proc/self/cgroup") ?? "").split("\n");
  const path2 = lines.find((line) => line.startsWith("0::"))?.slice(3) ?? "/";
  const path1 = lines.find((line) => /^\d+:[^:]*\bmemory\b/.test(line))?.replace(/^\d+:[^:]*:/, "") ?? "/";
  const files = [
    `/sys/fs/cgroup${path2}/${version2}`,
    `/sys/fs/cgroup/${version2}`,
    `/sys/fs/cgroup/memory${path1}/${version1}`,
    `/sys/fs/cgroup/memory/${version1}`,
  ];
  for (const file of files) {
    const text = readText(file)?.trim();
    if (text === undefined) continue;
    return text === "max" ? unlimitedBytes : Number(text);
  }
  return undefined;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // it is not there: the next place is asked
  }
}
