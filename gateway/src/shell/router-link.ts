import { type Client, status as grpcStatus } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { callUnary, type Linked, openCertificate, type RouterLink, routerService, type TlsFiles, v1 } from "@pushfleet/service";
import { RouterAddresses, type RouterAddressesOptions } from "./router-addresses.js";

export interface RouterChannels extends RouterLink {
  stop(): void;
}

export interface RouterLinkOptions extends Omit<RouterAddressesOptions, "tls"> {
  readonly tls?: TlsFiles | undefined;
}

type Call<Request, Reply> = Parameters<typeof callUnary<Request, Reply>>[1];

/** Any of the routers at `addresses`, in turn; one that does not answer is passed over for the next, each at most once a call, within
 *  `limits.routerCallMs` in all. A name stands for all the addresses that it resolves to. With TLS whoever is there must be a router of the
 *  fleet; which one does not matter, all of a fleet's routers are the same. Throws when a file of `tls` is not right. */
export function connectRouters(options: RouterLinkOptions): RouterChannels {
  const tls = options.tls && openCertificate(options.tls, options);
  const routers = new RouterAddresses({ ...options, tls });
  let turn = Math.floor(Math.random() * limits.routerAddressesMax); // or all gateways that start together begin with the same router

  async function call<Request, Reply>(definition: Call<Request, Reply>, request: Request): Promise<Linked<Reply>> {
    const deadlineMs = performance.now() + limits.routerCallMs;
    const clients = await routers.clients();
    const first = turn++;
    let cause: Error = new Error("no router is known");
    for (let attempt = 0; attempt < clients.length; attempt++) {
      const client = clients[(first + attempt) % clients.length];
      // The rest of the time for the last one; before it a share, so that a router that hangs leaves some for the others.
      const leftMs = (deadlineMs - performance.now()) / (clients.length - attempt);
      if (client === undefined || leftMs <= 0) break;
      const outcome = await ask(client, definition, request, leftMs);
      if (outcome.kind !== "unavailable") return outcome;
      cause = outcome.cause;
    }
    routers.lookAgain();
    return { kind: "unavailable", cause };
  }

  return {
    acknowledge: (request) => call(routerService.acknowledge, new v1.AcknowledgeRequest(request)),
    sync: (request) => call(routerService.sync, new v1.SyncRequest(request)),
    emit: (request) => call(routerService.emit, new v1.EmitRequest(request)),
    stop: () => {
      routers.stop();
      tls?.stop();
    },
  };
}

async function ask<Request, Reply>(
  client: Client,
  definition: Call<Request, Reply>,
  request: Request,
  timeoutMs: number,
): Promise<Linked<Reply>> {
  try {
    return { kind: "ok", reply: await callUnary(client, definition, request, timeoutMs) };
  } catch (error) {
    const cause = error as Error & { readonly code?: number; readonly details?: string };
    if (cause.code !== grpcStatus.INVALID_ARGUMENT) return { kind: "unavailable", cause };
    return { kind: "refused", code: "bad_cursor", message: cause.details ?? cause.message };
  }
}
