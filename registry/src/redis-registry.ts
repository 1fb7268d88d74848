import { assertNever, type Cursor, type Incarnation, limits, type UserId } from "@pushfleet/protocol";
import type { Cancel, Clock, Logger } from "@pushfleet/service";
import { checkEvictionPolicy } from "./eviction-policy.js";
import { LeaseCache, type ReadLease } from "./lease-cache.js";
import { type DeviceEntry, locateDevices, parseEntries } from "./located-devices.js";
import { PipelineQueue } from "./pipeline-queue.js";
import { type RedisCommand, type Reply, refuseErrors } from "./redis-command.js";
import { RedisConnection } from "./redis-connection.js";
import { type RedisKeys, redisKeys } from "./redis-keys.js";
import type { Entry, Lease, LookedUp, Refreshed, Registered, Registration, Registry, Revocation, Unregistration } from "./registry.js";
import { acquireLeaseCommand } from "./scripts/acquire-lease.js";
import { deleteEntryCommand, type OwnEntry } from "./scripts/delete-entry.js";
import { parseRegisterReply, type RegisterReply, registerCommand } from "./scripts/register.js";
import { requestResyncCommand, resyncCursor, takeResyncCommand } from "./scripts/resync.js";
import { revokeCommand } from "./scripts/revoke.js";
import { UnregistrationRetries } from "./unregistration-retries.js";

export interface RedisRegistryOptions {
  /** `redis://` or `rediss://`, with user and password where needed. */
  readonly url: string;
  /** Before every key; no braces. Two fleets with different ones see nothing of each other. */
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Uniform in [0, 1), for the jitter of reconnects. */
  readonly random?: (() => number) | undefined;
}

/** The registry of a fleet, in one Redis (5 or newer). One connection a process; `start` opens it. */
export function createRedisRegistry(options: RedisRegistryOptions): Registry {
  return new RedisRegistry(options);
}

type Unavailable = Extract<Reply, { readonly kind: "unavailable" }>;

class RedisRegistry implements Registry {
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #keys: RedisKeys;
  readonly #connection: RedisConnection;
  readonly #queue: PipelineQueue;
  readonly #leases: LeaseCache;
  readonly #retries = new UnregistrationRetries();
  readonly #reconnectedListeners = new Set<() => void>();
  /** What was read of each worker's `resync` and may not be deleted yet. */
  readonly #resyncsRead = new Map<Incarnation, string>();
  #cancelRetries: Cancel | undefined;

  constructor(options: RedisRegistryOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#keys = redisKeys(options.keyPrefix);
    this.#connection = new RedisConnection({ ...options, random: options.random ?? Math.random });
    this.#queue = new PipelineQueue((commands) => this.#connection.run(commands));
    this.#leases = new LeaseCache(this.#queue, this.#keys, options.clock);
  }

  async start(): Promise<void> {
    await this.#connection.open();
    try {
      await checkEvictionPolicy((command) => this.#queue.send(() => command));
    } catch (error) {
      this.#connection.close();
      throw error;
    }
    this.#connection.onUsable(() => this.#onReconnected());
    this.#cancelRetries = this.#clock.every(limits.registryReconnectMsMax, () => this.#retryUnregistrations());
  }

  /** Waits for what is under way, `registryTimeoutMs` at most. */
  async stop(): Promise<void> {
    this.#cancelRetries?.();
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(limits.registryTimeoutMs, resolve);
      void this.#queue.whenIdle().then(() => {
        cancel();
        resolve();
      });
    });
    this.#connection.close();
    if (this.#retries.size > 0) this.#logger?.warn({ count: this.#retries.size }, "registry stopped with unregistrations left");
  }

  async acquireLease(lease: Lease): Promise<Refreshed> {
    const reply = refuseErrors(await this.#queue.send(() => acquireLeaseCommand(this.#keys, lease)));
    if (reply.kind === "unavailable") return reply;
    if (reply.value === 1) return { kind: "refreshed", resyncAfter: undefined };
    return { kind: "unavailable", cause: new Error(`incarnation ${lease.incarnation} is taken`) };
  }

  async refreshLease(incarnation: Incarnation): Promise<Refreshed> {
    const readBefore = this.#resyncsRead.get(incarnation);
    const [refreshed, taken] = await this.#sendTogether(
      ["expire", this.#keys.lease(incarnation), String(limits.leaseSeconds)],
      takeResyncCommand(this.#keys, incarnation, readBefore),
    );
    if (refreshed.kind === "unavailable") return refreshed;
    if (taken.kind === "unavailable") return taken;
    this.#resyncsRead.delete(incarnation);
    if (refreshed.value !== 1) return { kind: "lapsed" };
    if (typeof taken.value !== "string") return { kind: "refreshed", resyncAfter: undefined };
    this.#deleteResync(incarnation, taken.value);
    return { kind: "refreshed", resyncAfter: resyncCursor(taken.value) };
  }

  async releaseLease(incarnation: Incarnation): Promise<void> {
    this.#leases.forget(incarnation);
    this.#resyncsRead.delete(incarnation);
    await this.#sendTogether(["del", this.#keys.lease(incarnation)], ["del", this.#keys.resync(incarnation)]);
    this.#leases.forget(incarnation);
  }

  async register(registration: Registration): Promise<Registered> {
    const openedMs = this.#clock.monotonicMs() - registration.ageMs;
    let dead: Incarnation | undefined;
    let hasMadeRoom = false;
    for (let round = 0; round < limits.registryConflictRoundsMax; round++) {
      const reply = await this.#callRegister(registration, openedMs, dead);
      switch (reply.kind) {
        case "unavailable":
        case "revoked":
          return reply;
        case "registered":
          return { kind: "registered", fence: reply.fence, replaced: await this.#living(reply.over), restored: reply.restored };
        case "conflict": {
          const read = await this.#leases.readFresh(reply.stored.incarnation);
          if (read.kind === "unavailable") return read;
          if (read.lease !== undefined || reply.stored.incarnation === registration.incarnation) return { kind: "superseded" };
          dead = reply.stored.incarnation;
          break;
        }
        case "full":
          if (hasMadeRoom) return { kind: "superseded" };
          hasMadeRoom = true;
          await this.#makeRoom(registration.user);
          break;
        default:
          assertNever(reply);
      }
    }
    return { kind: "unavailable", cause: new Error("the entry changed hands while it was asked for") };
  }

  async unregister(unregistration: Unregistration): Promise<void> {
    await this.#unregister(unregistration);
  }

  async lookUp(users: readonly UserId[]): Promise<readonly LookedUp[]> {
    const stored = await Promise.all(users.map((user) => this.#readEntries(user)));
    const leases = await this.#readLeases(stored.flatMap((entries) => (entries instanceof Error ? [] : entries)));
    const dead: OwnEntry[] = [];
    const results = users.map((user, index): LookedUp => {
      const entries = stored[index] ?? new Error("no reply");
      if (entries instanceof Error) return { kind: "unavailable", cause: entries };
      const located = locateDevices(user, entries, leases);
      dead.push(...located.dead);
      return located.result;
    });
    // Nobody waits for it; what is left over the bound goes with the next look-up, or with its hash.
    for (const each of dead.slice(0, limits.registryPurgesPerLookUpMax)) void this.#deleteEntry(each);
    return results;
  }

  async requestResync(incarnation: Incarnation, after: Cursor): Promise<"requested" | "no_lease" | "unavailable"> {
    const [lives, requested] = await this.#sendTogether(
      ["exists", this.#keys.lease(incarnation)],
      requestResyncCommand(this.#keys, incarnation, after),
    );
    if (lives.kind === "unavailable" || requested.kind === "unavailable") return "unavailable";
    return lives.value === 1 ? "requested" : "no_lease";
  }

  readLease(incarnation: Incarnation): Promise<ReadLease> {
    return this.#leases.readFresh(incarnation);
  }

  async revoke(revocation: Revocation): Promise<"revoked" | "unavailable"> {
    const reply = refuseErrors(await this.#queue.send(() => revokeCommand(this.#keys, revocation)));
    return reply.kind === "reply" ? "revoked" : "unavailable";
  }

  onReconnected(listener: () => void): () => void {
    this.#reconnectedListeners.add(listener);
    return () => this.#reconnectedListeners.delete(listener);
  }

  /** In one pipeline, in this order. */
  async #sendTogether(first: RedisCommand, second: RedisCommand): Promise<readonly [Reply, Reply]> {
    const replies = [this.#queue.send(() => first), this.#queue.send(() => second)] as const;
    return [refuseErrors(await replies[0]), refuseErrors(await replies[1])];
  }

  async #callRegister(registration: Registration, openedMs: number, dead: Incarnation | undefined): Promise<RegisterReply | Unavailable> {
    const reply = refuseErrors(
      await this.#queue.send(() => {
        const nowMs = this.#clock.monotonicMs();
        const redisUs = this.#connection.time.estimateUs(nowMs);
        return registerCommand(this.#keys, { registration, ageMs: nowMs - openedMs, redisUs, dead });
      }),
    );
    if (reply.kind === "unavailable") return reply;
    const parsed = parseRegisterReply(reply.value);
    this.#connection.time.observe(parsed.redisUs, this.#clock.monotonicMs());
    return parsed;
  }

  /** The entry with its lease, if that lives. When Redis goes away at this point the registration stands, and the connection it replaced
   *  learns of it by its own re-registration, which follows each reconnect. */
  async #living(entry: Entry | undefined): Promise<(Entry & { readonly lease: Lease }) | undefined> {
    if (entry === undefined) return undefined;
    const read = await this.#leases.read(entry.incarnation);
    return read.kind === "lease" && read.lease !== undefined ? { ...entry, lease: read.lease } : undefined;
  }

  /** Deletes a user's dead entries, all of them: `devicesPerUserMax` at most. */
  async #makeRoom(user: UserId): Promise<void> {
    const stored = await this.#readEntries(user);
    if (stored instanceof Error) return;
    const { dead } = locateDevices(user, stored, await this.#readLeases(stored));
    await Promise.all(dead.map((each) => this.#deleteEntry(each)));
  }

  async #readEntries(user: UserId): Promise<readonly DeviceEntry[] | Error> {
    const reply = refuseErrors(await this.#queue.send(() => ["call", "HGETALL", this.#keys.connections(user)]));
    return reply.kind === "reply" ? parseEntries(reply.value) : reply.cause;
  }

  async #readLeases(entries: readonly DeviceEntry[]): Promise<ReadonlyMap<Incarnation, ReadLease>> {
    const incarnations = [...new Set(entries.map(({ entry }) => entry.incarnation))];
    return new Map(await Promise.all(incarnations.map(async (each) => [each, await this.#leases.read(each)] as const)));
  }

  #deleteEntry(entry: OwnEntry): Promise<Reply> {
    return this.#queue.send(() => deleteEntryCommand(this.#keys, entry));
  }

  /** At once, and should the answer be lost again with the next refresh: until then the value would be read as new. */
  #deleteResync(incarnation: Incarnation, value: string): void {
    this.#resyncsRead.set(incarnation, value);
    void this.#queue.send(() => takeResyncCommand(this.#keys, incarnation, value));
  }

  #onReconnected(): void {
    this.#retryUnregistrations();
    for (const listener of [...this.#reconnectedListeners]) listener();
  }

  #retryUnregistrations(): void {
    if (this.#retries.size === 0 || !this.#connection.isUsable) return;
    for (const each of this.#retries.take()) void this.#unregister(each);
  }

  async #unregister(entry: OwnEntry): Promise<void> {
    const reply = refuseErrors(await this.#deleteEntry(entry));
    if (reply.kind === "unavailable") this.#retries.add(entry);
  }
}
