import type { Client } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import type { Lease } from "@pushfleet/registry";
import { type Clock, callUnary, createGrpcClient, gatewayService, type Logger, type Tls, v1 } from "@pushfleet/service";

/** Channels to the other workers of the fleet, opened at the first call; the one not used for longest goes when there are too many. */
export class Peers {
  readonly #clients = new Map<string, Client>();
  readonly #tls: Tls | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(options: { readonly tls: Tls | undefined; readonly clock: Clock; readonly logger: Logger }) {
    this.#tls = options.tls;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Tells the worker of `gateway` at `address` that a connection of it was replaced; another process at that address is not told. Tried
   *  `disconnectAttemptsMax` times; when that fails the worker is most likely gone, and if it is not it learns of it from its own audit. */
  async disconnect({ gateway, address }: Pick<Lease, "gateway" | "address">, request: v1.IDisconnectRequest): Promise<void> {
    const message = new v1.DisconnectRequest(request);
    for (let attempt = 1; ; attempt++) {
      try {
        await callUnary(this.#client(gateway, address), gatewayService.disconnect, message, limits.disconnectTimeoutMs);
        return;
      } catch (cause) {
        if (attempt === limits.disconnectAttemptsMax) {
          this.#logger.warn({ err: cause, address }, "a worker could not be told of a replaced connection");
          return;
        }
      }
      await new Promise<void>((resolve) => this.#clock.after(limits.registryRetryMs, resolve));
    }
  }

  stop(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(gateway: string, address: string): Client {
    const key = `${gateway} ${address}`;
    const client = this.#clients.get(key) ?? createGrpcClient(address, this.#tls, { expect: { role: "gateway", id: gateway } });
    this.#clients.delete(key);
    this.#clients.set(key, client); // the latest stands last
    if (this.#clients.size > limits.peerChannelsMax) this.#closeOldest();
    return client;
  }

  #closeOldest(): void {
    for (const [key, client] of this.#clients) {
      this.#clients.delete(key);
      client.close();
      return;
    }
  }
}
