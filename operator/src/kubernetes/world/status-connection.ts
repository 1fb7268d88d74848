import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { connect as connectTls, type DetailedPeerCertificate, type SecureContext } from "node:tls";
import { limits } from "@pushfleet/protocol";
import { type ExpectedPeer, type FleetIdentity, gatewayService, parseIdentity, peerFault, v1 } from "@pushfleet/service";

/** Who dials, as it is at that moment, and whom it wants to find. */
export interface StatusTls {
  readonly context: SecureContext;
  readonly identity: FleetIdentity;
  readonly expect: ExpectedPeer;
}

export interface StatusConnectionOptions {
  /** "host:port" */
  readonly address: string;
  /** Asked at each dial. */
  readonly tls: () => StatusTls;
  /** A connection on which nothing comes for this long is given up; default `limits.statusSilenceMs`. */
  readonly silenceMs?: number;
}

/** One gateway's statuses: the gRPC call WatchStatus on a connection of its own, by Node's HTTP/2 alone. A channel of grpc-js takes three times the
 *  memory, and an operator holds thousands. It dials at the first `watch`, and again at one after a break. */
export class StatusConnection {
  readonly #options: StatusConnectionOptions;
  #session: ClientHttp2Session | undefined;

  constructor(options: StatusConnectionOptions) {
    this.#options = options;
  }

  /** One stream of statuses. `onEnd` is called once, when no more will come, whatever the reason. */
  watch(onStatus: (status: v1.IGatewayStatus) => void, onEnd: () => void): void {
    const stream = this.#connected().request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: gatewayService.watchStatus.path,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
      [constants.HTTP2_HEADER_TE]: "trailers",
    });
    stream.on("error", () => undefined); // "close" comes after it
    stream.on("close", onEnd);
    readMessages(stream, (message) => onStatus(gatewayService.watchStatus.responseDeserialize(message)));
    stream.end(frameOf(gatewayService.watchStatus.requestSerialize(new v1.WatchStatusRequest())));
  }

  close(): void {
    this.#session?.destroy();
  }

  #connected(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) this.#session = this.#dial();
    return this.#session;
  }

  #dial(): ClientHttp2Session {
    const { address, tls, silenceMs = limits.statusSilenceMs } = this.#options;
    const { context, identity, expect } = tls();
    const url = new URL(`https://${address}`);
    const socket = connectTls({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port),
      secureContext: context,
      ALPNProtocols: ["h2"],
      checkServerIdentity: () => {
        const fault = peerFault(identity, expect, parseIdentity(socket.getPeerX509Certificate()?.subjectAltName));
        return fault === undefined ? undefined : new Error(`the gateway is another one: ${fault}`);
      },
    });
    // For the argument of that check Node describes the whole chain in objects, a third of a dial's CPU; it reads one name.
    socket.getPeerCertificate = () => undescribed;
    // Its own messages are few and alike: tables for their headers are not worth their memory.
    const session = connect(url, { createConnection: () => socket, settings: { enablePush: false, headerTableSize: 0 } });
    session.on("error", () => undefined); // its streams end with it
    session.on("goaway", () => session.close()); // the next watch dials
    session.setTimeout(silenceMs, () => session.destroy());
    return session;
  }
}

const undescribed = {} as DetailedPeerCertificate;

/** Of a message's frame: one byte that says whether it is compressed, four for its length. */
const headBytes = 5;

function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Calls with each whole message; a stream with anything that is no message of ours is cut. */
function readMessages(stream: ClientHttp2Stream, onMessage: (message: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    try {
      while (rest.length >= headBytes) {
        const length = rest.readUInt32BE(1);
        if (rest[0] !== 0 || length > limits.gatewayStatusBytesMax) throw new Error("not a status");
        if (rest.length < headBytes + length) return;
        const message = rest.subarray(headBytes, headBytes + length);
        rest = rest.subarray(headBytes + length);
        onMessage(message);
      }
    } catch {
      stream.removeAllListeners("data");
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
    }
  });
}
