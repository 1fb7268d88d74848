import { type DeviceId, type Incarnation, parseDeviceId, type UserId } from "@pushfleet/protocol";
import { parseEntry } from "./entry.js";
import type { ReadLease } from "./lease-cache.js";
import { textElements } from "./redis-command.js";
import type { Entry, Located, LookedUp } from "./registry.js";
import type { OwnEntry } from "./scripts/delete-entry.js";

export interface DeviceEntry {
  readonly device: DeviceId;
  readonly entry: Entry;
}

/** Reads the flat reply of HGETALL; what no worker of ours wrote is not there. */
export function parseEntries(reply: unknown): readonly DeviceEntry[] {
  const elements = textElements(reply);
  const entries: DeviceEntry[] = [];
  for (let i = 0; i + 1 < elements.length; i += 2) {
    const device = parseDeviceId(elements[i]);
    const entry = parseEntry(elements[i + 1] ?? "");
    if (device !== undefined && entry !== undefined) entries.push({ device, entry });
  }
  return entries;
}

/** A user's entries by what became of their leases: the living, and the dead ones to delete. A lease that could not be read makes the whole
 *  look-up `unavailable`: half of a user's devices would pass for all of them. */
export function locateDevices(
  user: UserId,
  entries: readonly DeviceEntry[],
  leases: ReadonlyMap<Incarnation, ReadLease>,
): { readonly result: LookedUp; readonly dead: readonly OwnEntry[] } {
  const devices: Located[] = [];
  const dead: OwnEntry[] = [];
  for (const { device, entry } of entries) {
    const read = leases.get(entry.incarnation);
    if (read === undefined || read.kind === "unavailable") {
      return { result: { kind: "unavailable", cause: read?.cause ?? new Error(`lease ${entry.incarnation} was not read`) }, dead };
    }
    if (read.lease === undefined) dead.push({ user, device, incarnation: entry.incarnation, connection: entry.connection });
    else devices.push({ device, entry, lease: read.lease });
  }
  return { result: { kind: "located", devices }, dead };
}
