import { status as grpcStatus } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { callUnary, createGrpcClient, type Linked, type RouterLink, routerService, type TlsFiles, v1 } from "@pushfleet/service";

export interface RouterChannels extends RouterLink {
  stop(): void;
}

type Call<Request, Reply> = Parameters<typeof callUnary<Request, Reply>>[1];

/** Any of the routers at `addresses` ("host:port"), in turn; one that does not answer is passed over for the next, each at most once a
 *  call, within `limits.routerCallMs` in all. */
export function connectRouters(addresses: readonly string[], tls: TlsFiles | undefined): RouterChannels {
  const clients = addresses.map((address) => createGrpcClient(address, tls));
  let turn = 0;

  async function call<Request, Reply>(definition: Call<Request, Reply>, request: Request): Promise<Linked<Reply>> {
    const deadlineMs = performance.now() + limits.routerCallMs;
    let cause: Error = new Error("no router is configured");
    const first = turn++;
    for (let attempt = 0; attempt < clients.length; attempt++) {
      const client = clients[(first + attempt) % clients.length];
      // The rest of the time for the last one; before it a share, so that a router that hangs leaves some for the others.
      const leftMs = (deadlineMs - performance.now()) / (clients.length - attempt);
      if (client === undefined || leftMs <= 0) break;
      try {
        return { kind: "ok", reply: await callUnary(client, definition, request, leftMs) };
      } catch (error) {
        cause = error as Error;
        const { code, details } = error as { readonly code?: number; readonly details?: string };
        if (code === grpcStatus.INVALID_ARGUMENT) return { kind: "refused", code: "bad_cursor", message: details ?? cause.message };
      }
    }
    return { kind: "unavailable", cause };
  }

  return {
    acknowledge: (request) => call(routerService.acknowledge, new v1.AcknowledgeRequest(request)),
    sync: (request) => call(routerService.sync, new v1.SyncRequest(request)),
    emit: (request) => call(routerService.emit, new v1.EmitRequest(request)),
    stop: () => {
      for (const client of clients) client.close();
    },
  };
}
