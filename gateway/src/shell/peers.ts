import type { Client } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type Clock, callUnary, createGrpcClient, gatewayService, type Logger, type TlsFiles, v1 } from "@pushfleet/service";

/** Channels to the other workers of the fleet, opened at the first call; the one not used for longest goes when there are too many. */
export class Peers {
  readonly #clients = new Map<string, Client>();
  readonly #tls: TlsFiles | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(options: { readonly tls: TlsFiles | undefined; readonly clock: Clock; readonly logger: Logger }) {
    this.#tls = options.tls;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Tells the worker at `address` that a connection of it was replaced. Tried `disconnectAttemptsMax` times; when that fails the worker is
   *  most likely gone, and if it is not it learns of it from its own audit. */
  async disconnect(address: string, request: v1.IDisconnectRequest): Promise<void> {
    const message = new v1.DisconnectRequest(request);
    for (let attempt = 1; ; attempt++) {
      try {
        await callUnary(this.#client(address), gatewayService.disconnect, message, limits.disconnectTimeoutMs);
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

  #client(address: string): Client {
    const client = this.#clients.get(address) ?? createGrpcClient(address, this.#tls);
    this.#clients.delete(address);
    this.#clients.set(address, client); // the latest stands last
    if (this.#clients.size > limits.peerChannelsMax) this.#closeOldest();
    return client;
  }

  #closeOldest(): void {
    for (const [address, client] of this.#clients) {
      this.#clients.delete(address);
      client.close();
      return;
    }
  }
}
