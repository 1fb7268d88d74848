import { type ChannelCredentials, Client, type ClientOptions, credentials, experimental, Server, ServerCredentials } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type AllowedCallers, checkCallers } from "./allowed-callers.js";
import { type FleetCertificate, type Tls, toCertificate } from "./fleet-certificate.js";
import { type ExpectedPeer, parseIdentity, peerFault } from "./fleet-identity.js";
import { isLoopback } from "./grpc.js";
import { hostPort } from "./host-port.js";
import type { Logger } from "./logging.js";

const channelOptions: ClientOptions = {
  "grpc.max_receive_message_length": limits.grpcMessageBytesMax,
  "grpc.max_send_message_length": limits.grpcMessageBytesMax,
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.use_local_subchannel_pool": 1,
};

/** Sent as the server's name (SNI) whatever the address is: an IP address may not be, and who the server is its identity says. */
const serverName = "fleet.pushfleet.dev";

/** `limits.grpcConnectionAgeMs` and its grace, unless a test says otherwise. */
export interface ConnectionAge {
  readonly ageMs: number;
  readonly graceMs: number;
}

const connectionAge: ConnectionAge = { ageMs: limits.grpcConnectionAgeMs, graceMs: limits.grpcConnectionAgeGraceMs };

/** Its connections do not grow old: each handshake shows, and is shown, the certificates of its time. Callers come again by themselves; a stream that
 *  must not be cut is given up in time by one of its ends (`limits.grpcStreamAgeMs`). */
export function createGrpcServer({ ageMs, graceMs } = connectionAge): Server {
  return new Server({
    "grpc.max_connection_age_ms": ageMs,
    "grpc.max_connection_age_grace_ms": graceMs,
    "grpc.max_receive_message_length": limits.grpcMessageBytesMax,
    "grpc.max_send_message_length": limits.grpcMessageBytesMax,
    "grpc.keepalive_time_ms": 20_000,
  });
}

export interface BindOptions {
  /** Refused callers are logged here, each once. */
  readonly logger?: Logger | undefined;
  /** Instead of `allowedCallers`. */
  readonly allow?: AllowedCallers | undefined;
}

/** Binds and returns the port; rejects when it is taken, or when `host` is not loopback and there is no TLS. With TLS a caller needs a certificate of
 *  the same authority, and must be one of the roles allowed for the method in the same fleet. */
export async function bindGrpcServer(
  server: Server,
  host: string,
  port: number,
  tls: Tls | undefined,
  options: BindOptions = {},
): Promise<number> {
  if (tls === undefined && !isLoopback(host)) {
    throw new Error(`grpc.host ${host} is not loopback: without grpc.tls gRPC listens on loopback only`);
  }
  const bound = tls === undefined ? ServerCredentials.createInsecure() : serverCredentials(toCertificate(tls), options);
  return await new Promise((resolve, reject) => {
    server.bindAsync(hostPort(host, port), bound, (error, boundPort) => (error === null ? resolve(boundPort) : reject(error)));
  });
}

function serverCredentials({ identity, provider }: FleetCertificate, { logger, allow }: BindOptions): ServerCredentials {
  const mutual = experimental.createCertificateProviderServerCredentials(provider, provider, true);
  return experimental.createServerCredentialsWithInterceptors(mutual, [checkCallers(identity, logger, allow)]);
}

export interface ClientTls {
  /** Whom the caller looked up, in its own fleet: another one is hung up on before anything is sent. */
  readonly expect: ExpectedPeer;
}

/** A channel to `address` ("host:port"); it connects by itself at the first call and again after a break. A certificate that is renewed is shown from
 *  the next connection on. With TLS it must be said who is expected there. */
export function createGrpcClient(address: string, tls: undefined, options?: Partial<ClientTls>): Client;
export function createGrpcClient(address: string, tls: Tls | undefined, options: ClientTls): Client;
export function createGrpcClient(address: string, tls: Tls | undefined, options?: Partial<ClientTls>): Client {
  if (tls === undefined) return new Client(address, credentials.createInsecure(), channelOptions);
  if (options?.expect === undefined) throw new Error("a channel with TLS needs to know whom to expect");
  const secure = channelCredentials(toCertificate(tls), options.expect);
  return new Client(address, secure, { ...channelOptions, "grpc.ssl_target_name_override": serverName });
}

function channelCredentials({ identity, provider }: FleetCertificate, expected: ExpectedPeer): ChannelCredentials {
  return experimental.createCertificateProviderChannelCredentials(provider, provider, {
    checkServerIdentity: (_, { subjectaltname }) => {
      const fault = peerFault(identity, expected, parseIdentity(subjectaltname));
      return fault === undefined ? undefined : new Error(`the server is another one: ${fault}`);
    },
  });
}
