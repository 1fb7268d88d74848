/** Frames a server sends, as a client reads them (docs/protocol.md). Unknown fields are ignored, unknown types too. */
export interface HelloFrame {
  readonly type: "hello";
  readonly connection_id: string;
  readonly device: string;
  readonly server: string;
  readonly heartbeat_ms: number;
  readonly cursor: string;
  readonly resume: string;
  readonly registered: boolean;
}
export interface NotificationFrame {
  readonly type: "notification";
  readonly notification_id: string;
  readonly cursor: string;
  readonly data: unknown;
  readonly created_at?: number;
  readonly read?: boolean;
}
export interface SyncBatchFrame {
  readonly type: "sync_batch";
  readonly notifications: readonly Omit<NotificationFrame, "type">[];
  readonly reads: readonly string[];
  readonly has_more: boolean;
  readonly cursor: string;
}
export interface MarkReadFrame {
  readonly type: "mark_read";
  readonly notification_ids: readonly string[];
  readonly cursor: string;
}
export interface ReconnectFrame {
  readonly type: "reconnect";
  readonly after_ms: number;
  readonly reason: string;
}
export interface GapFrame {
  readonly type: "gap";
  readonly after: string;
}
export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly retry_after_ms?: number;
}
export type ServerFrame =
  | HelloFrame
  | NotificationFrame
  | SyncBatchFrame
  | MarkReadFrame
  | ReconnectFrame
  | GapFrame
  | ErrorFrame
  | { readonly type: "auth_expiring"; readonly expires_in_ms: number }
  | { readonly type: "pong" };

const types: ReadonlySet<string> = new Set([
  "hello",
  "notification",
  "sync_batch",
  "mark_read",
  "reconnect",
  "gap",
  "error",
  "auth_expiring",
  "pong",
]);

/** The frame, or undefined when it is none this version knows. */
export function parseServerFrame(text: string): ServerFrame | undefined {
  try {
    const frame = JSON.parse(text) as { type?: unknown } | null;
    return typeof frame?.type === "string" && types.has(frame.type) ? (frame as ServerFrame) : undefined;
  } catch {
    return undefined; // not of this protocol: a newer server may send what we do not know
  }
}
