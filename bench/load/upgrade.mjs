import { createHmac } from "node:crypto";

/** The servers' secret; the `ws` ones look at no token. */
export const secret = "bench-secret";

const base64url = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const header = base64url({ alg: "HS256", typ: "JWT" });

/** A token as a query may carry it: HS256, good for five minutes.
 * @param {string} user */
export function signToken(user) {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const input = `${header}.${base64url({ sub: user, iat: nowSeconds, exp: nowSeconds + 300 })}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

/** A whole upgrade request, for one write. Both servers get the same bytes.
 * @param {{ port: number, user: string, device: string }} options */
export function upgradeRequest({ port, user, device }) {
  return Buffer.from(
    `GET /connect?token=${signToken(user)}&device=${device} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
      "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
  );
}

/** A close frame from a client: code 1000, masked with zeros (RFC 6455 §5.2). */
export const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);

/** The hello in what a server answered to an upgrade, or undefined while it is not complete. Throws when it was refused.
 * @param {string} text latin1 */
export function parseHello(text) {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  if (!text.startsWith("HTTP/1.1 101")) throw new Error(`upgrade refused: ${text.slice(0, 200)}`);
  const start = text.indexOf("{", end);
  if (start < 0) {
    if (text.length > end + 4 && text.charCodeAt(end + 4) !== 0x81)
      throw new Error(`closed instead of hello: ${JSON.stringify(text.slice(end + 4))}`);
    return undefined;
  }
  const length = text.lastIndexOf("}") + 1;
  try {
    return JSON.parse(text.slice(start, length));
  } catch {
    return undefined;
  }
}
