import { type Cursor, laterCursor, limits, type NotificationId, type UserId } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { type AgeLinks, AgeList } from "../core/age-list.js";
import { type Position, streamStart } from "../core/position.js";
import { PositionLog } from "../core/position-log.js";
import type {
  Appended,
  MarkedRead,
  NewestUnread,
  PageRead,
  PageRequest,
  Part,
  ReadMark,
  Store,
  StoredNotification,
  StoredRead,
  StoreRecord,
} from "../core/store.js";

export interface MemoryStoreTotals {
  readonly users: number;
  readonly notifications: number;
  readonly readMarks: number;
  /** By the store's own count, at most `bytesMax` and one item. */
  readonly bytes: number;
  /** Notifications and read marks dropped because a bound was reached. */
  readonly dropped: number;
}

export interface MemoryStore extends Store {
  totals(): MemoryStoreTotals;
}

/** The store of one process: local mode, tests, and a router that may forget everything when it stops. It is never `unavailable`. Expiry
 *  follows the wall clock. `bytesMax` is for tests; by default `limits.memoryStoreBytesMax`. */
export function createMemoryStore(options: { readonly clock: Clock; readonly bytesMax?: number | undefined }): MemoryStore {
  return new HeapStore(options.clock, options.bytesMax ?? limits.memoryStoreBytesMax);
}

/** An object, its place in the log, in the index and in the list by age, its cursor, the headers of its texts. With `userBytes` the count is
 *  what the heap grew by or a little more (Node 20; 1, 2, 10 and 1,000 notifications a user: 712, 479, 329, 385 bytes each with 64 of text). */
const itemBytes = 330;
const userBytes = 350;

interface HeldNotification extends StoredNotification, AgeLinks<Held> {
  readonly kind: "notification";
  readonly owner: UserStream;
  readonly dataBytes: number;
  readonly expiresAtMs: number | undefined;
  read: boolean;
}

interface HeldRead extends StoredRead, AgeLinks<Held> {
  readonly kind: "read";
  readonly owner: UserStream;
}

type Held = HeldNotification | HeldRead;

interface UserStream {
  readonly user: UserId;
  readonly notifications: PositionLog<HeldNotification>;
  /** Made at the first mark: most users of a busy store have none. */
  reads: PositionLog<HeldRead> | undefined;
}

class HeapStore implements MemoryStore {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #users = new Map<UserId, UserStream>();
  /** Everything of all users, so that the store as a whole can drop its oldest. */
  #byAge = new AgeList<Held>();
  #bytes = 0;
  #notifications = 0;
  #readMarks = 0;
  #dropped = 0;

  constructor(clock: Clock, bytesMax: number) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#users.clear();
    this.#byAge = new AgeList();
    this.#bytes = 0;
    this.#notifications = 0;
    this.#readMarks = 0;
  }

  totals(): MemoryStoreTotals {
    return {
      users: this.#users.size,
      notifications: this.#notifications,
      readMarks: this.#readMarks,
      bytes: this.#bytes,
      dropped: this.#dropped,
    };
  }

  async append(records: readonly StoreRecord[]): Promise<readonly Appended[]> {
    return records.map((record) => this.#appendOne(record));
  }

  async markRead(mark: ReadMark): Promise<MarkedRead> {
    const stream = this.#stream(mark.user);
    for (const notificationId of mark.notificationIds) this.#markOne(stream, notificationId, mark.cursor);
    this.#keepBounds(stream);
    return { kind: "marked" };
  }

  async readPage(request: PageRequest): Promise<PageRead> {
    const stream = this.#users.get(request.user);
    if (stream === undefined) return { kind: "page", notifications: emptyPart(request.notificationsAfter), reads: noMarks(request) };
    const reads = stream.reads === undefined ? noMarks(request) : readMarks(stream.reads, request);
    return { kind: "page", notifications: this.#readNotifications(stream, request), reads };
  }

  async readNewestUnread(user: UserId, max: number): Promise<NewestUnread> {
    const log = this.#users.get(user)?.notifications;
    const nowMs = this.#clock.nowMs();
    const notifications: StoredNotification[] = [];
    for (let index = (log?.length ?? 0) - 1; index >= 0 && notifications.length < max; index--) {
      const held = log?.at(index);
      if (held !== undefined && !held.read && !isExpired(held, nowMs)) notifications.push(copyNotification(held));
    }
    return { kind: "newest", notifications: notifications.reverse(), newest: this.#newestCursor(user) };
  }

  #newestCursor(user: UserId): Cursor | undefined {
    const stream = this.#users.get(user);
    const appended = stream?.notifications.last()?.cursor;
    const marked = stream?.reads?.last()?.cursor;
    return appended === undefined || marked === undefined ? (appended ?? marked) : laterCursor(appended, marked);
  }

  #appendOne(record: StoreRecord): Appended {
    const data = Buffer.from(record.data);
    if (data.length > limits.dataBytesMax)
      return { kind: "failed", reason: `data: ${data.length} bytes, more than ${limits.dataBytesMax}` };
    const stream = this.#stream(record.user);
    const before = stream.notifications.find(record.notificationId);
    if (before !== undefined && before.cursor >= record.cursor) return { kind: "stored", read: before.read };
    if (before !== undefined) this.#remove(before);
    const held: HeldNotification = {
      kind: "notification",
      owner: stream,
      notificationId: record.notificationId,
      cursor: record.cursor,
      // A text of its own: a slice of what was published would keep the whole record, or the whole HTTP body, alive.
      data: data.toString(),
      dataBytes: data.length,
      createdAtMs: record.createdAtMs,
      expiresAtMs: record.expiresAtMs,
      read: before?.read ?? stream.reads?.find(record.notificationId) !== undefined,
      older: undefined,
      newer: undefined,
    };
    stream.notifications.add(held);
    this.#hold(held);
    this.#keepBounds(stream);
    return { kind: "stored", read: held.read };
  }

  #markOne(stream: UserStream, notificationId: NotificationId, cursor: Cursor): void {
    const notification = stream.notifications.find(notificationId);
    if (notification !== undefined) notification.read = true;
    stream.reads ??= new PositionLog<HeldRead>();
    const before = stream.reads.find(notificationId);
    if (before !== undefined && before.cursor >= cursor) return;
    if (before !== undefined) this.#remove(before);
    const held: HeldRead = { kind: "read", owner: stream, notificationId, cursor, older: undefined, newer: undefined };
    stream.reads.add(held);
    this.#hold(held);
  }

  /** Expired ones that are met on the way are let go. */
  #readNotifications(stream: UserStream, request: PageRequest): Part<StoredNotification> {
    const log = stream.notifications;
    const nowMs = this.#clock.nowMs();
    const items: StoredNotification[] = [];
    const expired: HeldNotification[] = [];
    let covered = request.notificationsAfter;
    let dataBytes = 0;
    let more = false;
    for (let index = log.indexAfter(covered); index < log.length && !more; index++) {
      const held = log.at(index);
      if (held === undefined) break;
      const fits = items.length < request.notificationsMax && dataBytes + held.dataBytes <= request.dataBytesMax;
      if (isExpired(held, nowMs)) expired.push(held);
      else if (fits || items.length === 0) {
        items.push(copyNotification(held));
        dataBytes += held.dataBytes;
      } else more = true;
      if (!more) covered = copyPosition(held);
    }
    for (const held of expired) this.#remove(held);
    this.#forgetIfEmpty(stream);
    return { items, covered, more };
  }

  #stream(user: UserId): UserStream {
    const known = this.#users.get(user);
    if (known !== undefined) return known;
    const stream: UserStream = { user, notifications: new PositionLog(), reads: undefined };
    this.#users.set(user, stream);
    this.#bytes += userBytes;
    return stream;
  }

  #keepBounds(stream: UserStream): void {
    this.#trim(stream.notifications, limits.storedNotificationsPerUserMax);
    if (stream.reads !== undefined) this.#trim(stream.reads, limits.storedReadsPerUserMax);
    this.#forgetIfEmpty(stream);
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#byAge.oldest;
      if (oldest === undefined || oldest === this.#byAge.newest) return;
      this.#drop(oldest);
    }
  }

  #trim(log: PositionLog<HeldNotification> | PositionLog<HeldRead>, max: number): void {
    while (log.length > max) {
      const first = log.first();
      if (first === undefined) return;
      this.#drop(first);
    }
  }

  #drop(held: Held): void {
    this.#dropped++;
    this.#remove(held);
    this.#forgetIfEmpty(held.owner);
  }

  #forgetIfEmpty(stream: UserStream): void {
    if (stream.notifications.length > 0 || (stream.reads?.length ?? 0) > 0) return;
    if (this.#users.delete(stream.user)) this.#bytes -= userBytes;
  }

  #hold(held: Held): void {
    if (held.kind === "notification") this.#notifications++;
    else this.#readMarks++;
    this.#byAge.add(held);
    this.#bytes += heldBytes(held);
  }

  #remove(held: Held): void {
    if (held.kind === "notification") {
      held.owner.notifications.remove(held);
      this.#notifications--;
    } else {
      held.owner.reads?.remove(held);
      this.#readMarks--;
    }
    this.#byAge.remove(held);
    this.#bytes -= heldBytes(held);
  }
}

function readMarks(log: PositionLog<HeldRead>, request: PageRequest): Part<StoredRead> {
  if (request.readsAfter === undefined) return noMarks(request);
  const items: StoredRead[] = [];
  const start = log.indexAfter(request.readsAfter);
  const end = Math.min(log.length, start + request.readsMax);
  for (let index = start; index < end; index++) {
    const held = log.at(index);
    if (held !== undefined) items.push(copyPosition(held));
  }
  return { items, covered: items.at(-1) ?? request.readsAfter, more: end < log.length };
}

const emptyPart = (covered: Position) => ({ items: [], covered, more: false });

const noMarks = (request: PageRequest) => emptyPart(request.readsAfter ?? streamStart);

/** What is handed out does not change when the store does. */
function copyNotification({ notificationId, cursor, data, createdAtMs, read }: HeldNotification): StoredNotification {
  return { notificationId, cursor, data, createdAtMs, read };
}

function copyPosition({ cursor, notificationId }: StoredRead): StoredRead {
  return { cursor, notificationId };
}

function heldBytes(held: Held): number {
  return itemBytes + held.notificationId.length + (held.kind === "notification" ? held.dataBytes : 0);
}

function isExpired(held: HeldNotification, nowMs: number): boolean {
  return held.expiresAtMs !== undefined && held.expiresAtMs <= nowMs;
}
