import type { v1 } from "@pushfleet/service";

/** The gateway of which a worker is one: what operators ask and watch, at whichever worker. */
export interface WholeGateway {
  /** The latest known; `undefined` before all workers run. */
  status(): v1.IGatewayStatus | undefined;
  drain(grant: v1.IGrant, reason: string): Promise<v1.IDrainReply>;
  abortDrain(epoch: number): Promise<v1.IDrainReply>;
}
