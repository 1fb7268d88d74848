import { type Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { assertNever, type Cursor, type DeviceId, idExpected, limits, markReadFrame, parseUserId, type UserId } from "@pushfleet/protocol";
import { type Linked, type Logger, type RouterLink, routerService, v1 } from "@pushfleet/service";
import {
  type Acknowledgement,
  type ClientEvent,
  clientEventText,
  parseAcknowledgement,
  parseClientEvent,
} from "../core/gateway-requests.js";
import type { Stamp } from "../core/stamp.js";
import type { Store } from "../core/store.js";
import { buildNewest, buildPage, pageRequest, planSync, type SyncPage } from "../core/sync-page.js";

/** What came of handing something on. `unavailable`: it was not taken, the gateway asks again. */
export type Taken = { readonly kind: "taken" } | { readonly kind: "unavailable"; readonly cause: Error };

/** A `mark_read` on its way to a user's devices, but not to the one that read. */
export interface ReadFanOut {
  readonly user: UserId;
  readonly exceptDevice: DeviceId;
  /** The client's frame, UTF-8. */
  readonly frame: Buffer;
  readonly cursor: Cursor;
}

/** One record of the client-events topic. */
export interface ClientEventRecord {
  /** The record's key. */
  readonly user: UserId;
  /** `{"user_id","device","name","data","at_ms"}`. */
  readonly value: string;
}

export type EmitEvents = (records: readonly ClientEventRecord[]) => Promise<Taken>;

export interface RouterLinkOptions {
  readonly store: Store;
  /** The router's only one, shared with its appends. */
  readonly stamp: Stamp;
  readonly emitEvents: EmitEvents;
  /** `taken` when what delivers has it, or it has its outcomes; well within `limits.routerCallMs`. */
  readonly fanOut: (read: ReadFanOut) => Promise<Taken>;
  /** What a user has read; it is stored. */
  readonly onRead?: ((read: Acknowledgement) => void) | undefined;
  /** Delivery receipts (`state: "received"`): for metrics, nothing is stored. */
  readonly onReceived?: ((receipt: Acknowledgement) => void) | undefined;
  readonly logger: Logger;
}

/** What gateways ask of this router, asked directly (local mode) or through `addRouterService`. */
export function createRouterLink(options: RouterLinkOptions): RouterLink {
  const { logger } = options;
  return {
    acknowledge: (request) => neverReject(logger, () => acknowledge(request, options)),
    sync: (request) => neverReject(logger, () => sync(request, options)),
    emit: (request) => neverReject(logger, () => emit(request.events ?? [], options.emitEvents, logger)),
  };
}

/** Store and sinks say what is away without throwing: what is caught here is a bug. The gateway may ask again. */
async function neverReject<Reply>(logger: Logger, answer: () => Promise<Linked<Reply>>): Promise<Linked<Reply>> {
  try {
    return await answer();
  } catch (cause) {
    logger.error({ err: cause }, "a gateway's request failed");
    return { kind: "unavailable", cause: new Error("the request failed", { cause }) };
  }
}

/** A mark is stored before the other devices hear of it: one that hears nothing finds it in its next sync. All or nothing is not needed,
 *  for a gateway that asks again marks the same ids again. */
async function acknowledge(request: v1.IAcknowledgeRequest, options: RouterLinkOptions): Promise<Linked<v1.IAcknowledgeReply>> {
  const acks = keepValid(request.acks ?? [], parseAck, options.logger, "an acknowledgement that no gateway should send");
  const outcomes = await Promise.all(acks.map((ack) => takeAck(ack, options)));
  return outcomes.find((outcome) => outcome.kind === "unavailable") ?? { kind: "ok", reply: {} };
}

const parseAck = (ack: v1.IAck) => parseAcknowledgement(ack, ack.state === v1.AckState.ACK_RECEIVED ? "received" : "read");

async function takeAck(ack: Acknowledgement, { store, stamp, fanOut, onRead, onReceived }: RouterLinkOptions): Promise<Taken> {
  switch (ack.state) {
    case "received":
      onReceived?.(ack);
      return { kind: "taken" };
    case "read": {
      const cursor = stamp();
      const marked = await store.markRead({ user: ack.user, notificationIds: ack.notificationIds, cursor });
      if (marked.kind === "unavailable") return marked;
      onRead?.(ack);
      return fanOut({ user: ack.user, exceptDevice: ack.device, frame: Buffer.from(markReadFrame(ack.notificationIds, cursor)), cursor });
    }
    default:
      return assertNever(ack.state);
  }
}

async function sync(request: v1.ISyncRequest, { store, stamp }: RouterLinkOptions): Promise<Linked<v1.ISyncReply>> {
  const user = parseUserId(request.user);
  if (user === undefined) return { kind: "refused", code: "bad_cursor", message: `user: expected ${idExpected}` };
  const now = stamp(); // not the clock: after it was set back this router's own cursors are ahead of it
  const plan = planSync({ user, lastSeen: request.lastSeen ?? "", page: request.page ?? "", now });
  switch (plan.kind) {
    case "bad_cursor":
      return { kind: "refused", code: "bad_cursor", message: plan.message };
    case "newest": {
      const read = await store.readNewestUnread(user, limits.syncNewestUnread);
      return read.kind === "unavailable" ? read : syncReply(buildNewest(user, read, now));
    }
    case "page": {
      const read = await store.readPage(pageRequest(user, plan.walk));
      return read.kind === "unavailable" ? read : syncReply(buildPage(user, plan.walk, read));
    }
    default:
      return assertNever(plan);
  }
}

function syncReply(page: SyncPage): Linked<v1.ISyncReply> {
  return { kind: "ok", reply: { frame: Buffer.from(page.frame), hasMore: page.hasMore, nextPage: page.nextPage, cursor: page.cursor } };
}

async function emit(events: readonly v1.IClientEvent[], emitEvents: EmitEvents, logger: Logger): Promise<Linked<v1.IEmitReply>> {
  const valid = keepValid(events, parseEvent, logger, "a client event that no gateway should send");
  if (valid.length === 0) return { kind: "ok", reply: {} };
  const taken = await emitEvents(valid.map((event) => ({ user: event.user, value: clientEventText(event) })));
  return taken.kind === "taken" ? { kind: "ok", reply: {} } : taken;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseEvent(event: v1.IClientEvent): ClientEvent | undefined {
  let data: string | undefined;
  try {
    data = utf8.decode(event.data ?? new Uint8Array());
  } catch {
    data = undefined; // not UTF-8, and so not an event
  }
  return parseClientEvent(event, data);
}

/** One bad item does not take the others with it: they are of other users. */
function keepValid<In, Out>(items: readonly In[], parse: (item: In) => Out | undefined, logger: Logger, what: string): readonly Out[] {
  const valid: Out[] = [];
  for (const item of items) {
    const parsed = parse(item);
    if (parsed !== undefined) valid.push(parsed);
  }
  if (valid.length < items.length) logger.warn({ what, count: items.length - valid.length }, "left out of a gateway's request");
  return valid;
}

/** `POST /v1/notifications` by gRPC: takes the body, gives status and body of the answer. Never rejects. */
export type Publish = (body: Buffer) => Promise<{ readonly status: number; readonly body: string }>;

/** Registers the Router service of protocol/delivery.proto. A refusal is INVALID_ARGUMENT, what is away is UNAVAILABLE (ask another router,
 *  or again), both with the reason as details. */
export function addRouterService(server: Server, link: RouterLink, publish: Publish): void {
  server.addService(routerService, {
    acknowledge: answerWith((request: v1.AcknowledgeRequest) => link.acknowledge(request)),
    sync: answerWith((request: v1.SyncRequest) => link.sync(request)),
    emit: answerWith((request: v1.EmitRequest) => link.emit(request)),
    publish: answerWith((request: v1.PublishRequest) => answerPublish(request, publish)),
  });
}

async function answerPublish(request: v1.PublishRequest, publish: Publish): Promise<Linked<v1.IPublishReply>> {
  const { buffer, byteOffset, byteLength } = request.body;
  const answer = await publish(Buffer.from(buffer, byteOffset, byteLength));
  return { kind: "ok", reply: { status: answer.status, body: Buffer.from(answer.body) } };
}

function answerWith<Request, Reply>(ask: (request: Request) => Promise<Linked<Reply>>) {
  return (call: ServerUnaryCall<Request, Reply>, done: sendUnaryData<Reply>): void => {
    ask(call.request).then(
      (linked): void => {
        switch (linked.kind) {
          case "ok":
            return done(null, linked.reply);
          case "refused":
            return done({ code: status.INVALID_ARGUMENT, details: linked.message });
          case "unavailable":
            return done({ code: status.UNAVAILABLE, details: linked.cause.message });
          default:
            return assertNever(linked);
        }
      },
      () => done({ code: status.INTERNAL, details: "the request failed" }),
    );
  };
}
