import { randomUUID } from "node:crypto";
import { type Client, connect, type WebSocketConstructor } from "@pushfleet/client";
import { WebSocket } from "ws";
import { signToken } from "../commands/token.js";
import type { Tally } from "./tally.js";

/** Opened at once at most; a fleet is stormed, its operating system is not. */
const openingMax = 200;

export interface StormClients {
  readonly users: readonly string[];
  /** Clients that are connected now. */
  live(): number;
  /** How often a client became live. */
  opened(): number;
  close(): void;
}

/** Opens `count` real client connections, one user each, and counts into `tally` what they get. Users and devices are of this run alone: one
 *  that runs at the same time, or ran a moment ago, would replace these connections, and these would get what was published to its own. */
export async function openClients(options: {
  readonly url: string;
  readonly count: number;
  readonly secret: string;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}): Promise<StormClients> {
  const { tally } = options;
  const clients: Client[] = [];
  let live = 0;
  let opened = 0;
  const run = randomUUID().slice(0, 8);
  const open = async (user: string): Promise<void> => {
    const token = await signToken({ user, ttlSeconds: 3600, secret: options.secret });
    await new Promise<void>((resolve) => {
      let isLive = false;
      const client = connect({
        url: options.url,
        token,
        device: `storm_${run}`,
        WebSocket: WebSocket as unknown as WebSocketConstructor,
        onNotification: (notification) => tally.receive(user, notification.notificationId),
        onFrame: (text) => {
          if (text.startsWith('{"type":"reconnect"')) tally.asked(performance.now());
        },
        onReconnected: (tookMs, how) => tally.reconnected(tookMs, how),
        onState: (state) => {
          if ((state.kind === "live") === isLive) return;
          isLive = state.kind === "live";
          live += isLive ? 1 : -1;
          if (isLive) {
            opened++;
            resolve();
          }
        },
      });
      clients.push(client);
    });
  };
  const users = Array.from({ length: options.count }, (_, index) => `storm_${run}_${index}`);
  for (let from = 0; from < users.length && !options.signal.aborted; from += openingMax) {
    await Promise.race([Promise.all(users.slice(from, from + openingMax).map(open)), aborted(options.signal)]);
  }
  return {
    users,
    live: () => live,
    opened: () => opened,
    close: () => {
      for (const client of clients) client.close();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
