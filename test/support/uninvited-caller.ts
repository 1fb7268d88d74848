import { Client, credentials, status } from "@grpc/grpc-js";
import { gatewayService, routerService, type TlsPem, v1 } from "@pushfleet/service";

const CALL_MS = 5_000;
const soonMs = (): number => Date.now() + 60_000;

/** What a part of a fleet serves, each with a request that it would answer to one who may. */
export const gatewayMethods: readonly Method[] = [
  { ...gatewayService.deliver, request: new v1.DeliverBatch() },
  { ...gatewayService.drain, request: new v1.DrainRequest({ grant: { reconnectsPerSecond: 1, deadlineMs: soonMs(), epoch: 0 } }) },
  { ...gatewayService.abortDrain, request: new v1.AbortDrainRequest({ epoch: 0 }) },
  { ...gatewayService.watchStatus, request: new v1.WatchStatusRequest() },
  { ...gatewayService.disconnect, request: new v1.DisconnectRequest({ user: "usr_1" }) },
];
export const routerMethods: readonly Method[] = [
  { ...routerService.sync, request: new v1.SyncRequest({ user: "usr_1" }) },
  { ...routerService.acknowledge, request: new v1.AcknowledgeRequest() },
  { ...routerService.emit, request: new v1.EmitRequest() },
  { ...routerService.publish, request: new v1.PublishRequest({ body: Buffer.from('{"user_id":"usr_1","data":1}') }) },
];

interface Method {
  readonly path: string;
  readonly requestSerialize: (request: never) => Buffer;
  readonly request: object;
}

/** The name of the code with which `address` answers a call by somebody who shows `tls` and does not care who answers: "OK" for any first answer.
 *  `trust`: what he verifies the server by, when it is not the authority of his certificate. */
export async function codeOfCall(
  address: string,
  { path, requestSerialize, request }: Method,
  tls: TlsPem,
  trust = tls.ca,
): Promise<string> {
  const secure = credentials.createSsl(Buffer.from(trust), Buffer.from(tls.key), Buffer.from(tls.cert), {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(address, secure, {
    "grpc.ssl_target_name_override": "fleet.pushfleet.dev",
    "grpc.use_local_subchannel_pool": 1,
  });
  const bytes = requestSerialize(request as never);
  const asIs = (body: Buffer): Buffer => body;
  try {
    return await new Promise((resolve) => {
      // Every shape of call is a stream on the wire.
      const call = client.makeBidiStreamRequest(path, asIs, asIs, { deadline: Date.now() + CALL_MS });
      call.on("data", () => resolve("OK"));
      call.on("error", (cause: { readonly code: number }) => resolve(status[cause.code] ?? String(cause)));
      call.on("status", ({ code }: { readonly code: number }) => resolve(status[code] ?? String(code)));
      call.write(bytes);
      call.end();
    });
  } finally {
    client.close();
  }
}
