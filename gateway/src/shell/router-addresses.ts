import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Client } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type Cancel, type Clock, createGrpcClient, type Logger, type Tls } from "@pushfleet/service";

export interface RouterAddressesOptions {
  /** "host:port" each; a host that is a name stands for all its addresses, as of a headless service. */
  readonly addresses: readonly string[];
  readonly tls: Tls | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** IP addresses of a name; rejects when it has none. Default: the machine's resolver. */
  readonly lookUp?: ((host: string) => Promise<readonly string[]>) | undefined;
}

/** A channel to each router there is: names are resolved again and again, so that a router that was added gets its share and one that has gone is
 *  not asked any more. gRPC's own `round_robin` resolves again only when a connection breaks, and hides which router failed, so that no call
 *  could be tried at the others, each once. */
export class RouterAddresses {
  readonly #options: RouterAddressesOptions;
  readonly #lookUp: (host: string) => Promise<readonly string[]>;
  readonly #channels = new Map<string, Client>();
  /** What each configured address resolved to last. */
  readonly #resolved = new Map<string, readonly string[]>();
  readonly #cancels = new Set<Cancel>();
  #order: readonly Client[] = [];
  #resolving: Promise<void> | undefined;
  #resolvedAtMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(options: RouterAddressesOptions) {
    this.#options = options;
    this.#lookUp = options.lookUp ?? lookUpAll;
    for (const address of options.addresses) if (isIP(split(address).host) !== 0) this.#resolved.set(address, [address]);
    this.#connect();
    if (this.#resolved.size === options.addresses.length) return; // nothing to look up
    this.#cancels.add(options.clock.every(limits.routerResolveMs, () => void this.#resolve()));
    void this.#resolve();
  }

  /** One for each router, always in the same order while they stay the same; waits where nothing was resolved yet. */
  async clients(): Promise<readonly Client[]> {
    if (this.#order.length === 0) await this.#resolve();
    return this.#order;
  }

  /** No router answered: perhaps they are elsewhere by now. */
  lookAgain(): void {
    if (this.#options.clock.monotonicMs() - this.#resolvedAtMs >= limits.routerResolveMinMs) void this.#resolve();
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#cancels) cancel();
    for (const client of this.#channels.values()) client.close();
    this.#channels.clear();
    this.#order = [];
  }

  /** Joins a round under way. */
  #resolve(): Promise<void> {
    if (this.#isStopped || this.#cancels.size === 0) return Promise.resolve();
    this.#resolving ??= this.#resolveAll().finally(() => {
      this.#resolving = undefined;
    });
    return this.#resolving;
  }

  async #resolveAll(): Promise<void> {
    const names = this.#options.addresses.filter((address) => isIP(split(address).host) === 0);
    await Promise.all(names.map((address) => this.#resolveName(address)));
    this.#resolvedAtMs = this.#options.clock.monotonicMs();
    if (!this.#isStopped) this.#connect();
  }

  /** A name that cannot be resolved keeps its addresses: routers outlive their name server's absence. */
  async #resolveName(address: string): Promise<void> {
    const { host, port } = split(address);
    try {
      const found = await this.#lookUp(host);
      this.#resolved.set(
        address,
        found.map((ip) => (isIP(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}`)),
      );
    } catch (cause) {
      if (!this.#resolved.has(address)) this.#options.logger.debug({ err: cause, address }, "a router's name does not resolve yet");
    }
  }

  #connect(): void {
    const wanted = new Set([...this.#resolved.values()].flat().slice(0, limits.routerAddressesMax));
    for (const address of wanted) {
      if (this.#channels.has(address)) continue;
      this.#channels.set(address, createGrpcClient(address, this.#options.tls, { expect: { role: "router" } }));
    }
    for (const [address, client] of this.#channels) {
      if (wanted.has(address)) continue;
      this.#channels.delete(address);
      this.#closeLater(client);
    }
    this.#order = [...this.#channels].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, client]) => client);
  }

  /** Calls that are under way have their time. */
  #closeLater(client: Client): void {
    const cancel = this.#options.clock.after(limits.routerCallMs, () => {
      this.#cancels.delete(close);
      client.close();
    });
    const close = (): void => {
      cancel();
      client.close();
    };
    this.#cancels.add(close);
  }
}

async function lookUpAll(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

function split(address: string): { readonly host: string; readonly port: string } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, "$1"), port: address.slice(at + 1) };
}
