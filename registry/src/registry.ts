import type { ConnectionId, Cursor, DeviceId, Incarnation, UserId } from "@pushfleet/protocol";

/** What a worker says of itself: `gw:<incarnation>`. An entry whose lease is gone does not exist. */
export interface Lease {
  readonly incarnation: Incarnation;
  /** Name of the gateway (pod). */
  readonly gateway: string;
  /** "host:port" of the worker's gRPC server. */
  readonly address: string;
  readonly zone: string;
  readonly startedAtMs: number;
}

/** One device's entry in `conn:{<user>}`. */
export interface Entry {
  readonly incarnation: Incarnation;
  readonly connection: ConnectionId;
  /** µs, from Redis TIME; kept for the connection's life. The higher one wins. */
  readonly fence: number;
}

export interface Registration {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly incarnation: Incarnation;
  readonly connection: ConnectionId;
  /** How long the connection has been open (monotonic): under `limits.freshConnectionMs` it wins over whatever is stored. */
  readonly ageMs: number;
  /** Its fence, when it was registered before: it then writes only where the entry is absent, dead, its own or lower. */
  readonly fence: number | undefined;
  /** For revocations. */
  readonly tokenId: string | undefined;
  readonly tokenIssuedAtMs: number | undefined;
}

/** `registered`: stored; `replaced` is the live entry of the same device that it took the place of (never its own), `restored` is true when a
 *  registration that presented its fence did not find its entry right. `superseded`: a newer connection holds the entry, close with
 *  4409. `revoked`: close with 4403. `unavailable`: Redis could not be asked; keep the socket and try again. */
export type Registered =
  | {
      readonly kind: "registered";
      readonly fence: number;
      readonly replaced: (Entry & { readonly lease: Lease }) | undefined;
      readonly restored: boolean;
    }
  | { readonly kind: "superseded" }
  | { readonly kind: "revoked" }
  | { readonly kind: "unavailable"; readonly cause: Error };

export interface Unregistration {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly incarnation: Incarnation;
  readonly connection: ConnectionId;
  readonly fence: number;
}

/** A live connection of a user, as a router needs it. */
export interface Located {
  readonly device: DeviceId;
  readonly entry: Entry;
  readonly lease: Lease;
}

/** `unavailable` is not "offline": the look-up is done again. */
export type LookedUp =
  | { readonly kind: "located"; readonly devices: readonly Located[] }
  | { readonly kind: "unavailable"; readonly cause: Error };

/** `refreshed`: `resyncAfter` is the earliest cursor that a router could not deliver to this worker; it was read and deleted in the same
 *  step. `lapsed`: the lease had gone; it is never revived, take a new incarnation. */
export type Refreshed =
  | { readonly kind: "refreshed"; readonly resyncAfter: Cursor | undefined }
  | { readonly kind: "lapsed" }
  | { readonly kind: "unavailable"; readonly cause: Error };

export interface Revocation {
  readonly user: UserId;
  /** A token by its `jti`, or every token of the device, or of the user, issued before `notBeforeMs`. */
  readonly what:
    | { readonly kind: "token"; readonly tokenId: string }
    | { readonly kind: "device"; readonly device: DeviceId; readonly notBeforeMs: number }
    | { readonly kind: "user"; readonly notBeforeMs: number };
  /** The revocation lives as long as the token could. */
  readonly expiresAtMs: number;
}

/** Who is connected where (DESIGN §4). Nothing here throws for a registry that is away: that is an outcome. */
export interface Registry {
  /** Checks what must hold before use (Redis: `noeviction`). Rejects with what would be right. */
  start(): Promise<void>;
  /** Creates the lease; `unavailable` when it could not be stored, `lapsed` never. */
  acquireLease(lease: Lease): Promise<Refreshed>;
  refreshLease(incarnation: Incarnation): Promise<Refreshed>;
  /** Ends a lease at once: the worker stopped, or its supervisor saw it die. */
  releaseLease(incarnation: Incarnation): Promise<void>;
  /** Registrations of one tick share one pipeline. */
  register(registration: Registration): Promise<Registered>;
  /** Deletes only the connection's own entry (invariant I2). Calls of one tick share one pipeline. */
  unregister(unregistration: Unregistration): Promise<void>;
  /** One result for each of `users`, in order, in one pipeline. Entries without a lease are not among them. */
  lookUp(users: readonly UserId[]): Promise<readonly LookedUp[]>;
  /** `resync:<incarnation>` := the earlier of what stands there and `after`. False when the lease is gone or the registry is away. */
  requestResync(incarnation: Incarnation, after: Cursor): Promise<"requested" | "no_lease" | "unavailable">;
  /** The lease of `incarnation`, if it lives. */
  readLease(
    incarnation: Incarnation,
  ): Promise<{ readonly kind: "lease"; readonly lease: Lease | undefined } | { readonly kind: "unavailable"; readonly cause: Error }>;
  /** `unavailable`: it is not stored, whoever asked for it must be told or ask again. */
  revoke(revocation: Revocation): Promise<"revoked" | "unavailable">;
  /** `listener` is called after every reconnect or change of master: workers then re-register everything. Returns the way to stop it. */
  onReconnected(listener: () => void): () => void;
  stop(): Promise<void>;
}
