import { parseMapping } from "@pushfleet/protocol";
import type { PodGrant, PurposeReason } from "./types.js";

/** Where a grant is written on a pod. */
export const grantAnnotation = "pushfleet.dev/grant";

const purposes: readonly PodGrant["purpose"][] = ["serve", "cordon", "drain"];
const reasons: readonly PurposeReason[] = ["none", "scaleDown", "rollout", "leaving", "poolRemoved", "fleetDeleted"];

export function formatGrant(grant: PodGrant): string {
  return JSON.stringify(grant);
}

/** Reads the annotation. `undefined`: absent, edited by hand into nonsense, or of a version unknown here. */
export function parseGrant(text: string | undefined): PodGrant | undefined {
  const value = text === undefined ? undefined : parseMapping(text);
  if (value === undefined) return undefined;
  const purpose = purposes.find((one) => one === value["purpose"]);
  const reason = reasons.find((one) => one === value["reason"]);
  const numbers = numberFields.map((field) => value[field]);
  if (purpose === undefined || reason === undefined || !numbers.every(isAmount)) return undefined;
  const [
    reconnectsPerSecond = 0,
    heldPerSecond = 0,
    deadlineMs = 0,
    stragglerGraceMs = 0,
    epoch = 0,
    serial = 0,
    sinceMs = 0,
    extensions = 0,
  ] = numbers;
  const grant = { purpose, reconnectsPerSecond, heldPerSecond, deadlineMs, stragglerGraceMs, epoch, serial, sinceMs, extensions, reason };
  const leader = value["leader"];
  return typeof leader === "string" ? { ...grant, leader } : grant;
}

const numberFields = [
  "reconnectsPerSecond",
  "heldPerSecond",
  "deadlineMs",
  "stragglerGraceMs",
  "epoch",
  "serial",
  "sinceMs",
  "extensions",
] as const;

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
