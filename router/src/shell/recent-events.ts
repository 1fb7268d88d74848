import { limits } from "@pushfleet/protocol";
import type { EmitEvents } from "./router-service.js";

export interface RecentEvents {
  readonly emitEvents: EmitEvents;
  /** The last `limits.recentClientEventsMax` records, oldest first: JSON texts, `data` as the clients wrote it. */
  recent(): readonly string[];
}

/** Where client events go when there is no Kafka. */
export function createRecentEvents(): RecentEvents {
  let texts: string[] = [];
  return {
    emitEvents: async (records) => {
      texts = [...texts, ...records.map((record) => record.value)].slice(-limits.recentClientEventsMax);
      return { kind: "taken" };
    },
    recent: () => texts,
  };
}
