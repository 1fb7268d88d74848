import {
  type Cursor,
  type DeviceId,
  elementSpans,
  formatCursor,
  limits,
  memberSpan,
  type NotificationId,
  parseDeviceId,
  type UserId,
  utf8Bytes,
} from "@pushfleet/protocol";
import { createLogger, ManualClock, type RouterLink } from "@pushfleet/service";
import { expect } from "vitest";
import { createStamp, type Stamp } from "../core/stamp.js";
import type { Store, StoreRecord } from "../core/store.js";
import { createRouterLink } from "./router-service.js";
import { id, known, newUser } from "./store-contract.test-suite.js";

const ownDevice = known(parseDeviceId("phone"));
const otherDevice = known(parseDeviceId("laptop"));

interface LiveFrame {
  readonly kind: "notification" | "mark_read" | "page";
  readonly ids: readonly NotificationId[];
  readonly cursor: Cursor;
  /** Of a page. */
  readonly text?: string | undefined;
  /** Of a lane that overtakes. */
  readonly high?: boolean | undefined;
  readonly queuedAtMs: number;
}

interface Router {
  readonly stamp: Stamp;
  readonly link: RouterLink;
}

export interface Publication {
  readonly router: number;
  readonly data: string;
  readonly appendMs: number;
  readonly lookUpMs: number;
  readonly high: boolean;
}

/** Something under way: it happens when its time has come. */
interface Pending {
  readonly dueMs: number;
  run(): Promise<void>;
}

/** A user's stream between two routers whose clocks differ, one store, and a client that connects, syncs and is cut off. Every delay stays
 *  within what `limits.syncOverlapMs` is the sum of; the client follows DESIGN §3 and nothing else. */
export class SyncWorld {
  readonly clock = new ManualClock();
  readonly user: UserId = newUser();
  client = new ClientModel();
  /** What the client must have in the end: all that was appended after its first sync, and what that owed. */
  readonly owed = new Map<NotificationId, string>();
  readonly appended = new Map<NotificationId, string>();
  readonly marked = new Set<NotificationId>();
  /** What was marked after the client's first sync. */
  readonly owedReads = new Set<NotificationId>();
  readonly #store: Store;
  readonly #routers: readonly Router[];
  #pending: Pending[] = [];
  #outbox: LiveFrame[] = [];
  #connected = false;
  #nextPage: string | undefined;
  #names = 0;

  constructor(store: (clock: ManualClock) => Store) {
    this.#store = store(this.clock);
    this.#routers = [0, limits.clockSkewMs].map((skewMs) => {
      const stamp = createStamp(() => this.clock.nowMs() + skewMs);
      const fanOut = async (read: { exceptDevice: DeviceId; frame: Buffer; cursor: Cursor }) => {
        const { notification_ids: ids } = JSON.parse(read.frame.toString()) as { notification_ids: NotificationId[] };
        expect(read.exceptDevice).toBe(otherDevice);
        this.#send({ kind: "mark_read", ids, cursor: read.cursor, queuedAtMs: this.clock.nowMs() });
        return { kind: "taken" as const };
      };
      const emitEvents = async () => ({ kind: "taken" as const });
      return { stamp, link: createRouterLink({ store: this.#store, stamp, fanOut, emitEvents, logger: createLogger("test", "silent") }) };
    });
  }

  /** A notification is published: stored `appendMs` after its stamp, looked up and sent `lookUpMs` after that. */
  publish(how: Publication): void {
    this.#append(how, id(`n${this.#names++}`), how.data);
  }

  /** It was not known whether the append was stored, or its outcomes are missing: again, under a new cursor. */
  publishAgain(which: number, how: Publication): void {
    const [notificationId, data] = [...this.appended][which % Math.max(this.appended.size, 1)] ?? [];
    if (notificationId !== undefined && data !== undefined) this.#append(how, notificationId, data);
  }

  /** The other device reads something. */
  async markRead(router: number, which: number): Promise<void> {
    const [notificationId] = [...this.appended][which % Math.max(this.appended.size, 1)] ?? [];
    if (notificationId !== undefined) await this.#mark(router, [notificationId]);
  }

  /** The other device reads what is still on its way here, or was dropped long ago. */
  async markUnseen(router: number, count: number): Promise<void> {
    if (this.client.syncs === 0) return;
    const names = Array.from({ length: count }, (_, index) => id(index < 2 ? `n${this.#names + index}` : `old${this.#names++}`));
    for (let start = 0; start < count; start += limits.ackIdsMax) await this.#mark(router, names.slice(start, start + limits.ackIdsMax));
  }

  /** Time passes; what is due on the way happens then. An outbox that the client does not take ends its connection. */
  async advance(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms;
    for (;;) {
      const next = this.#pending.filter((each) => each.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      this.#moveTo(next?.dueMs ?? endMs);
      if (next === undefined) return;
      this.#pending = this.#pending.filter((each) => each !== next);
      await next.run();
    }
  }

  async connect(router: number): Promise<void> {
    if (this.#connected) return;
    this.#connected = true;
    this.client.hello();
    await this.#requestPage(router, "");
  }

  /** Whatever was not taken is lost. */
  cut(): void {
    this.#connected = false;
    this.#outbox = [];
    this.#nextPage = undefined;
  }

  /** The client takes `count` frames; when the outbox is empty the next page is asked for. */
  async take(router: number, count: number): Promise<void> {
    for (const frame of this.#outbox.splice(0, count)) this.client.take(frame);
    const page = this.#nextPage;
    if (!this.#connected || this.#outbox.length > 0 || page === undefined) return;
    await this.#requestPage(router, page);
  }

  /** All settles: what is under way happens, the client syncs to the end. */
  async settle(): Promise<void> {
    await this.advance(120_000);
    this.cut();
    await this.syncToTheEnd();
  }

  /** Another device of this user, that was never here before, reads the whole stream. */
  async readAll(): Promise<ClientModel> {
    this.cut();
    this.client = new ClientModel();
    this.client.saved = formatCursor(0, 0);
    await this.syncToTheEnd();
    return this.client;
  }

  async syncToTheEnd(): Promise<void> {
    await this.connect(0);
    for (let round = 0; this.#outbox.length > 0; round++) {
      if (round > 1000) throw new Error("a sync without end");
      await this.take(round % 2, 1000);
    }
  }

  #append({ router, appendMs, lookUpMs, high }: Publication, notificationId: NotificationId, data: string): void {
    const cursor = this.#routers[router]?.stamp() ?? never();
    const record: StoreRecord = { user: this.user, notificationId, cursor, data, createdAtMs: undefined, expiresAtMs: undefined };
    this.#later(appendMs, async () => {
      expect((await this.#store.append([record])).map((appended) => appended.kind)).toEqual(["stored"]);
      this.appended.set(notificationId, data);
      if (this.client.began) this.owed.set(notificationId, data);
      this.#later(lookUpMs, async () => {
        this.#send({ kind: "notification", ids: [notificationId], cursor, high, queuedAtMs: this.clock.nowMs() });
      });
    });
  }

  async #mark(router: number, notificationIds: NotificationId[]): Promise<void> {
    for (const each of notificationIds) {
      this.marked.add(each);
      if (this.client.syncs > 0) this.owedReads.add(each);
    }
    const ack = { user: this.user, device: otherDevice, notificationIds, atMs: this.clock.nowMs() };
    expect(await this.#routers[router]?.link.acknowledge({ acks: [ack] })).toEqual({ kind: "ok", reply: {} });
  }

  async #requestPage(router: number, page: string): Promise<void> {
    if (this.client.saved === undefined && page === "") await this.#oweNewestUnread();
    const request = { user: this.user, device: ownDevice, lastSeen: this.client.saved ?? "", page };
    const synced = await this.#routers[router]?.link.sync(request);
    if (synced?.kind !== "ok") throw new Error(`expected a page, got ${JSON.stringify(synced)}`);
    const { frame, hasMore, nextPage, cursor } = synced.reply;
    const text = Buffer.from(frame ?? []).toString();
    checkFrame(text, { hasMore, cursor });
    this.#nextPage = hasMore === true ? (nextPage ?? never()) : undefined;
    this.#send({ kind: "page", ids: [], cursor: cursor as Cursor, text, queuedAtMs: this.clock.nowMs() });
  }

  /** A client without a cursor is owed what is newest then; if it is cut off before it could save one, it begins anew. */
  async #oweNewestUnread(): Promise<void> {
    const read = await this.#store.readNewestUnread(this.user, limits.syncNewestUnread);
    if (read.kind !== "newest") throw read.cause;
    this.owed.clear();
    for (const { notificationId, data } of read.notifications) this.owed.set(notificationId, data);
    this.client.began = true;
  }

  #send(frame: LiveFrame): void {
    if (!this.#connected) return;
    const place = frame.high === true ? this.#outbox.findIndex((each) => each.high !== true) : -1;
    this.#outbox.splice(place < 0 ? this.#outbox.length : place, 0, frame);
  }

  #later(delayMs: number, run: () => Promise<void>): void {
    this.#pending.push({ dueMs: this.clock.nowMs() + delayMs, run });
  }

  #moveTo(ms: number): void {
    this.clock.advance(Math.max(0, ms - this.clock.nowMs()));
    if (this.#outbox.some((frame) => this.clock.nowMs() - frame.queuedAtMs > limits.outboxStayMs)) this.cut();
  }
}

/** What DESIGN §3 asks of a client: between hello and the last page only pages move the saved cursor, afterwards every frame does. */
export class ClientModel {
  saved: Cursor | undefined;
  began = false;
  /** Syncs that were completed. */
  syncs = 0;
  readonly received = new Map<NotificationId, string | undefined>();
  /** Ids that a page said are read, beside its notification. */
  readonly flagged = new Set<NotificationId>();
  readonly read = new Set<NotificationId>();
  #syncing = false;

  hello(): void {
    this.#syncing = true;
  }

  take(frame: LiveFrame): void {
    if (frame.kind === "page") return this.#takePage(frame.text ?? never());
    for (const each of frame.ids) {
      if (frame.kind === "mark_read") this.read.add(each);
      else if (!this.received.has(each)) this.received.set(each, undefined);
    }
    if (!this.#syncing) this.#save(frame.cursor);
  }

  #takePage(text: string): void {
    const page = JSON.parse(text) as {
      notifications: { notification_id: NotificationId; read?: boolean }[];
      reads: NotificationId[];
      has_more: boolean;
      cursor: Cursor;
    };
    const spans = elementSpans(text, known(memberSpan(text, "notifications")).start);
    for (const [index, each] of page.notifications.entries()) {
      const data = known(memberSpan(text, "data", known(spans[index]).start));
      this.received.set(each.notification_id, text.slice(data.start, data.end));
      if (each.read !== true) continue;
      this.read.add(each.notification_id);
      this.flagged.add(each.notification_id);
    }
    for (const each of page.reads) this.read.add(each);
    this.#save(page.cursor);
    if (page.has_more) return;
    this.#syncing = false;
    this.syncs++;
  }

  #save(cursor: Cursor): void {
    if (this.saved === undefined || cursor > this.saved) this.saved = cursor;
  }
}

/** Bounds and order of a frame, and that its reply says the same. */
function checkFrame(
  text: string,
  reply: { readonly hasMore?: boolean | null | undefined; readonly cursor?: string | null | undefined },
): void {
  const page = JSON.parse(text) as {
    type: string;
    notifications: { notification_id: string; cursor: Cursor }[];
    reads: unknown[];
    has_more: boolean;
    cursor: Cursor;
  };
  expect(page.type).toBe("sync_batch");
  expect(utf8Bytes(text)).toBeLessThanOrEqual(limits.syncFrameBytesMax);
  expect(page.notifications.length).toBeLessThanOrEqual(limits.syncNotificationsPerFrameMax);
  expect(page.reads.length).toBeLessThanOrEqual(limits.syncReadsPerFrameMax);
  const places = page.notifications.map((each) => `${each.cursor} ${each.notification_id}`);
  expect(places).toEqual([...places].sort());
  expect(new Set(page.notifications.map((each) => each.notification_id)).size).toBe(places.length);
  expect([page.has_more, page.cursor]).toEqual([reply.hasMore, reply.cursor]);
}

function never(): never {
  throw new Error("expected a value");
}
