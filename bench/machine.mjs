import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { isPinned } from "./processes.mjs";

/** One line for each fact that a figure depends on.
 * @returns {string[]} */
export function machineFacts() {
  const { version } = createRequire(import.meta.url)("ws/package.json");
  return [
    `cpu     ${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `system  Linux ${release()}, ${distribution()}, Node ${process.version}, ws ${version}`,
    `placed  ${isPinned ? "server on core 0, load on core 1" : "not pinned: server and load share what cores there are"}`,
    `date    ${new Date().toISOString().slice(0, 10)}`,
  ];
}

function distribution() {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}
