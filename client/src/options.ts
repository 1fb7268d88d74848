/** The part of the WebSocket interface that is used: the browser's, Node 22's, or the `ws` package's. */
export interface WebSocketLike {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

export interface ReceivedNotification {
  readonly notificationId: string;
  readonly cursor: string;
  readonly data: unknown;
  readonly createdAtMs: number | undefined;
  /** Another device read it already. */
  readonly read: boolean;
}

/** `connecting`: no connection yet, or lost; `live`: connected and synced (or syncing after a hand-over); `closed`: for good. */
export type ClientState =
  | { readonly kind: "connecting"; readonly attempt: number; readonly inMs: number }
  | { readonly kind: "live"; readonly server: string; readonly registered: boolean }
  | { readonly kind: "closed"; readonly why: string };

/** Time and chance, for tests. */
export interface ClientClock {
  nowMs(): number;
  after(delayMs: number, task: () => void): () => void;
  /** In [0, 1). */
  random(): number;
}

export interface ConnectOptions {
  /** `ws://host:8080/connect` or `wss://…`. */
  readonly url: string;
  /** A token, or how to get a fresh one: asked at every connection and when one expires. */
  readonly token: string | (() => string | Promise<string>);
  /** 1 to 128 bytes of `[A-Za-z0-9._:@-]`; absent: a random one for the life of this client. */
  readonly device?: string | undefined;
  /** `query` (default): the token in the URL; `message`: as first frame, for proxies that log URLs. */
  readonly auth?: "query" | "message" | undefined;
  /** The cursor saved by an earlier client of this device. */
  readonly lastSeen?: string | undefined;
  readonly WebSocket?: WebSocketConstructor | undefined;
  readonly clock?: ClientClock | undefined;
  /** Each notification once. */
  readonly onNotification?: ((notification: ReceivedNotification) => void) | undefined;
  /** Ids handed on before that another device read: each once, whether the server says so in `mark_read` or in a sync. */
  readonly onMarkRead?: ((notificationIds: readonly string[]) => void) | undefined;
  readonly onState?: ((state: ClientState) => void) | undefined;
  /** After the saved cursor moved: keep it where the next start finds it. */
  readonly onCursor?: ((cursor: string) => void) | undefined;
  /** Every frame as it came, for tools. */
  readonly onFrame?: ((text: string) => void) | undefined;
  /** A hand-over or reconnect is over: from the loss or the `reconnect` frame to the end of the sync, in ms. */
  readonly onReconnected?: ((tookMs: number, how: "hand_over" | "lost") => void) | undefined;
}
