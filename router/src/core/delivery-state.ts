import { type ConnectionId, type Cursor, cursorMs, type DeviceId, type Incarnation, limits } from "@pushfleet/protocol";

/** A device as a look-up found it. */
export interface DeviceTarget {
  readonly device: DeviceId;
  readonly entry: { readonly incarnation: Incarnation; readonly connection: ConnectionId };
}

/** What a gateway worker says of one target. `overflow`: dropped, and `gap` was or will be sent. */
export type TargetOutcome = "written" | "overflow" | "stale";

/** One outcome for each device. */
export interface Outcomes {
  readonly written: number;
  /** No longer connected, or (1) when no device was connected at all. */
  readonly offline: number;
  readonly stale: number;
  readonly overflow: number;
}

/** How far one notification has come for one user (DESIGN §5): appended, then looked up, then delivered, pass by pass, until each device has
 *  its outcome. A pass is a look-up and what was sent for it; `located` begins one, `conclude` ends it. Pure: the caller does the I/O. */
export class DeliveryState<Target extends DeviceTarget = DeviceTarget> implements Outcomes {
  written = 0;
  offline = 0;
  stale = 0;
  overflow = 0;
  #cursor: Cursor | undefined;
  #appendedMs = 0;
  #sent: readonly Target[] = [];
  #broken = false;
  /** Sent to and without an outcome: the target that was stale, or undefined when nothing was answered. */
  #open: Map<DeviceId, Target | undefined> | undefined;
  /** Devices that have their outcome; absent in the first pass, which nearly always is the only one. */
  #settled: Set<DeviceId> | undefined;
  #staleOnce: Set<DeviceId> | undefined;

  /** Of the latest append; undefined before the first. */
  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** A sync reads back `syncOverlapMs` from what a client has seen: what was appended too long ago is appended again before it is sent. */
  next(nowMs: number): "append" | "look_up" {
    return this.#cursor === undefined || nowMs - this.#appendedMs >= limits.appendFreshMs ? "append" : "look_up";
  }

  appended(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#appendedMs = cursorMs(cursor);
  }

  /** Begins a pass: `devices` are all that the user has now. Returns those to send to; none: conclude. */
  located(devices: readonly Target[]): readonly Target[] {
    this.#broken = false;
    if (this.#settled !== undefined) return this.#locatedAgain(devices, this.#settled);
    if (devices.length === 0) this.offline = 1;
    this.#sent = devices;
    return devices;
  }

  answered(target: Target, outcome: TargetOutcome): void {
    if (outcome === "written") this.written++;
    else if (outcome === "overflow") this.overflow++;
    else if (this.#staleOnce?.has(target.device) === true) this.stale++;
    else {
      this.#staleOnce = (this.#staleOnce ?? new Set()).add(target.device);
      this.#open = (this.#open ?? new Map()).set(target.device, target);
    }
  }

  /** No outcome: the stream broke, or nothing came in time. */
  broken(target: Target): void {
    this.#broken = true;
    this.#open = (this.#open ?? new Map()).set(target.device, undefined);
  }

  /** Ends a pass, when each of its targets was answered or is broken. `look_up`: once more at once; `retry`: after a pause. */
  conclude(): "done" | "look_up" | "retry" {
    const open = this.#open;
    if (open === undefined || open.size === 0) return "done";
    this.#settled ??= new Set();
    for (const { device } of this.#sent) if (!open.has(device)) this.#settled.add(device);
    return this.#broken ? "retry" : "look_up";
  }

  #locatedAgain(devices: readonly Target[], settled: Set<DeviceId>): readonly Target[] {
    const open = this.#open ?? new Map<DeviceId, Target | undefined>();
    this.#open = undefined;
    const targets: Target[] = [];
    for (const found of devices) {
      if (settled.has(found.device)) continue;
      const before = open.get(found.device);
      open.delete(found.device);
      if (before === undefined || !isSameConnection(before, found)) targets.push(found);
      else {
        this.stale++;
        settled.add(found.device);
      }
    }
    this.offline += open.size;
    for (const device of open.keys()) settled.add(device);
    this.#sent = targets;
    return targets;
  }
}

function isSameConnection(a: DeviceTarget, b: DeviceTarget): boolean {
  return a.entry.connection === b.entry.connection && a.entry.incarnation === b.entry.incarnation;
}
