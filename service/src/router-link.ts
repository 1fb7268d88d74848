import type { v1 } from "./grpc.js";

/** What came of a call to a router. `refused`: asking again will not help (`code` as in an `error` frame). `unavailable`: no router or its
 *  store could answer in time. */
export type Linked<Reply> =
  | { readonly kind: "ok"; readonly reply: Reply }
  | { readonly kind: "refused"; readonly code: "bad_cursor"; readonly message: string }
  | { readonly kind: "unavailable"; readonly cause: Error };

/** What a gateway asks of any router: by gRPC between processes, directly in local mode. Never rejects. */
export interface RouterLink {
  acknowledge(request: v1.IAcknowledgeRequest): Promise<Linked<v1.IAcknowledgeReply>>;
  sync(request: v1.ISyncRequest): Promise<Linked<v1.ISyncReply>>;
  emit(request: v1.IEmitRequest): Promise<Linked<v1.IEmitReply>>;
}
