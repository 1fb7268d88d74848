import { Agent, request } from "node:https";
import type { KeyPair } from "./kubernetes-certificates.js";

const REQUEST_TIMEOUT_MS = 30_000;
/** A table of hundreds of manifests is judged with so many requests at a time. */
const SOCKETS_MAX = 4;

export interface KubernetesAnswer {
  readonly status: number;
  /** Parsed JSON, or the text when it is none (a watch's lines). */
  readonly body: unknown;
}

/** Body of a request: text as it is, anything else as JSON. */
export interface KubernetesBody {
  readonly type: "application/json" | "application/yaml" | "application/merge-patch+json" | "application/apply-patch+yaml";
  readonly content: unknown;
}

/** Plain requests to an API server on one kept-alive agent, for what a test asks by itself. */
export class KubernetesRequests {
  readonly #agent: Agent;
  readonly #port: number;

  constructor(port: number, authorityPem: string, user: KeyPair) {
    this.#port = port;
    const identity = { ca: authorityPem, cert: user.certificatePem, key: user.keyPem };
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX, ...identity });
  }

  /** Resolves with any status; rejects when there is no answer within 30 s. */
  send(method: string, path: string, body?: KubernetesBody): Promise<KubernetesAnswer> {
    return new Promise((resolve, reject) => {
      const headers = { accept: "application/json", ...(body === undefined ? {} : { "content-type": body.type }) };
      const options = { agent: this.#agent, host: "127.0.0.1", port: this.#port, method, path, headers };
      const outgoing = request({ ...options, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }, (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        incoming.once("error", reject);
        incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, body: parseBody(text) }));
      });
      outgoing.once("error", reject);
      outgoing.end(body === undefined ? undefined : typeof body.content === "string" ? body.content : JSON.stringify(body.content));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
