import type { AcceptedGrant, PodGrant } from "./types.js";

/** What a world remembers of a pod when its gateway has accepted `grant` at `nowMs`, given what it remembered before. */
export function acceptGrant(before: AcceptedGrant | undefined, grant: PodGrant, nowMs: number): AcceptedGrant {
  const again = before !== undefined && before.epoch === grant.epoch && before.serial === grant.serial;
  return { epoch: grant.epoch, serial: grant.serial, atMs: again ? before.atMs : nowMs, renewedAtMs: nowMs };
}
