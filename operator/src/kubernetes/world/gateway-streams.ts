import type { Clock } from "@pushfleet/service";
import { type GatewayLink, GatewayStream } from "./gateway-stream.js";

/** Where a pod's gateway is reached. */
export interface GatewayAddress {
  readonly uid: string;
  readonly pod: string;
  /** "host:port" of its gRPC server. */
  readonly address: string;
}

export interface GatewayStreamsOptions {
  readonly connect: (gateway: GatewayAddress) => GatewayLink;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onChange: () => void;
}

/** The status streams of one fleet, one a pod that has an address. */
export class GatewayStreams {
  readonly #options: GatewayStreamsOptions;
  readonly #streams = new Map<string, { readonly address: string; readonly stream: GatewayStream }>();

  constructor(options: GatewayStreamsOptions) {
    this.#options = options;
  }

  /** Watches just these: the streams of others are closed, and what was known of them is forgotten. */
  keep(gateways: readonly GatewayAddress[]): void {
    const wanted = new Map(gateways.map((one) => [one.uid, one]));
    for (const [uid, { address, stream }] of this.#streams) {
      if (wanted.get(uid)?.address === address) continue;
      stream.close();
      this.#streams.delete(uid);
    }
    for (const gateway of wanted.values()) if (!this.#streams.has(gateway.uid)) this.#open(gateway);
  }

  get(uid: string): GatewayStream | undefined {
    return this.#streams.get(uid)?.stream;
  }

  close(): void {
    this.keep([]);
  }

  #open(gateway: GatewayAddress): void {
    const { connect, ...rest } = this.#options;
    const stream = new GatewayStream({ ...rest, connect: () => connect(gateway) });
    this.#streams.set(gateway.uid, { address: gateway.address, stream });
  }
}
