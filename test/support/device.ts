import { type Client, connect, type WebSocketConstructor } from "@pushfleet/client";
import { SignJWT } from "jose";
import { WebSocket } from "ws";

export function signToken(user: string, secret: string, ttlSeconds = 3600): Promise<string> {
  const nowSeconds = Math.floor(Date.now() / 1000);
  return new SignJWT({})
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + ttlSeconds)
    .sign(new TextEncoder().encode(secret));
}

/** A device of a user, with the SDK, that keeps what it was handed. */
export class Device {
  readonly user: string;
  readonly device: string;
  /** Ids in the order they were handed on, with their cursors. */
  readonly received: { readonly id: string; readonly cursor: string }[] = [];
  readonly client: Client;
  handOvers = 0;
  losses = 0;

  constructor(options: { readonly url: string; readonly user: string; readonly device: string; readonly token: string }) {
    this.user = options.user;
    this.device = options.device;
    this.client = connect({
      url: options.url,
      token: options.token,
      device: options.device,
      WebSocket: WebSocket as unknown as WebSocketConstructor,
      onNotification: (notification) => this.received.push({ id: notification.notificationId, cursor: notification.cursor }),
      onReconnected: (_, how) => {
        if (how === "hand_over") this.handOvers++;
        else this.losses++;
      },
    });
  }

  get isLive(): boolean {
    return this.client.state.kind === "live";
  }

  /** Ids in cursor order: the truth, whatever order they came in. */
  get inCursorOrder(): readonly string[] {
    return [...this.received].sort((a, b) => (a.cursor < b.cursor ? -1 : a.cursor > b.cursor ? 1 : 0)).map(({ id }) => id);
  }
}
