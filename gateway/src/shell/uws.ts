import type * as Uws from "uWebSockets.js";
import { createRequire } from "node:module";
import { limits } from "@pushfleet/protocol";

/** Head of a request: a token and a resume in the query, and what browsers and proxies add. uWebSockets.js' own maximum is 4 KiB; it reads
 *  this variable once, when its binary is loaded. */
process.env["UWS_HTTP_MAX_HEADERS_SIZE"] ??= String(2 * limits.tokenBytesMax);

export const uws = createRequire(import.meta.url)("uWebSockets.js") as typeof Uws;
