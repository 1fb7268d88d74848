import { readFileSync } from "node:fs";

/** Whether a process with this id runs. One that has ended does not, even before its parent has asked how (a zombie). Linux. */
export function isProcessAlive(pid: number): boolean {
  try {
    const state = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return state !== undefined && state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}
