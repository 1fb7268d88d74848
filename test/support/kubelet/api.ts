import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Pool } from "undici";
import { parse } from "yaml";
import { FairSlots } from "../../../operator/src/kubernetes/api/fair-slots.js";

const CONNECTIONS_MAX = 24;
/** The other connections are for watches. */
const REQUESTS_AT_ONCE = 16;
const REQUEST_TIMEOUT_MS = 15_000;

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
export type PatchKind = "merge" | "strategic-merge";

/** `body` is the object, or a Status where the server refused. Status 0: no answer came. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** The API server as a kubelet needs it: plain requests on kept-alive connections. Never throws for what the server or the network does. */
export class KubeletApi {
  readonly #pool: Pool;
  readonly #headers: Readonly<Record<string, string>>;
  /** A request has its time from when it is sent: thousands of pods have much to say at once. */
  readonly #slots = new FairSlots(REQUESTS_AT_ONCE);
  /** The last answers that said no, but for what is not there: for a person who looks why nothing happens. */
  readonly refusals: string[] = [];

  constructor(kubeconfigFile: string) {
    const { server, connect, headers } = readKubeconfig(kubeconfigFile);
    // Each watch holds one of the connections for minutes.
    this.#pool = new Pool(server, { connections: CONNECTIONS_MAX, connect, headersTimeout: REQUEST_TIMEOUT_MS, bodyTimeout: 0 });
    this.#headers = headers;
  }

  get(path: string): Promise<Answer> {
    return this.request("GET", path);
  }

  post(path: string, body: object): Promise<Answer> {
    return this.request("POST", path, body);
  }

  patch(path: string, kind: PatchKind, body: object): Promise<Answer> {
    return this.request("PATCH", path, body, `application/${kind}-patch+json`);
  }

  delete(path: string, body: object): Promise<Answer> {
    return this.request("DELETE", path, body);
  }

  request(method: Method, path: string, body?: object, type = "application/json"): Promise<Answer> {
    return this.#slots.run(this, () => this.#send(method, path, body, type));
  }

  async #send(method: Method, path: string, body: object | undefined, type: string): Promise<Answer> {
    try {
      const answer = await this.#pool.request({
        method,
        path,
        headers: body === undefined ? this.#headers : { ...this.#headers, "content-type": type },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 400 && answer.statusCode !== 404)
        this.#note(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
      return { status: answer.statusCode, body: parseJson(text) };
    } catch (error) {
      this.#note(`${method} ${path}: ${String(error)}`);
      return { status: 0, body: undefined };
    }
  }

  /** One watch request: hands on the lines it sends until it ends, however it ends. Answers the HTTP status, 0 without one. */
  async stream(path: string, signal: AbortSignal, onLine: (line: string) => void): Promise<number> {
    try {
      const answer = await this.#pool.request({ method: "GET", path, headers: this.#headers, signal });
      if (answer.statusCode !== 200) {
        await answer.body.dump();
        return answer.statusCode;
      }
      answer.body.setEncoding("utf8");
      let rest = "";
      for await (const chunk of answer.body as AsyncIterable<string>) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) onLine(line);
      }
      return 200;
    } catch (error) {
      if (!signal.aborted) this.#note(`GET ${path}: ${String(error)}`);
      return 0;
    }
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #note(refusal: string): void {
    this.refusals.push(refusal);
    if (this.refusals.length > 50) this.refusals.shift();
  }
}

interface Access {
  readonly server: string;
  readonly connect: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly headers: Readonly<Record<string, string>>;
}

/** The current context of a kubeconfig with a client certificate or a token, in files or in place. */
export function readKubeconfig(file: string): Access {
  const config = parse(readFileSync(file, "utf8")) as Kubeconfig;
  const context = named(config.contexts, config["current-context"])?.context;
  const cluster = named(config.clusters, context?.cluster)?.cluster;
  const user = named(config.users, context?.user)?.user;
  if (cluster === undefined) throw new Error(`${file}: its current context names no cluster`);
  const pem = (data: string | undefined, path: string | undefined): string | undefined =>
    data !== undefined ? Buffer.from(data, "base64").toString() : path && readFileSync(resolve(dirname(file), path), "utf8");
  const ca = pem(cluster["certificate-authority-data"], cluster["certificate-authority"]);
  const cert = pem(user?.["client-certificate-data"], user?.["client-certificate"]);
  const key = pem(user?.["client-key-data"], user?.["client-key"]);
  return {
    server: cluster.server,
    connect: { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) },
    headers: user?.token === undefined ? {} : { authorization: `Bearer ${user.token}` },
  };
}

interface Kubeconfig {
  readonly "current-context": string;
  readonly contexts: readonly { readonly name: string; readonly context: { readonly cluster: string; readonly user: string } }[];
  readonly clusters: readonly { readonly name: string; readonly cluster: { readonly server: string } & Files }[];
  readonly users: readonly { readonly name: string; readonly user: { readonly token?: string } & Files }[];
}

type Files = Readonly<Partial<Record<`${"certificate-authority" | "client-certificate" | "client-key"}${"" | "-data"}`, string>>>;

const named = <T extends { readonly name: string }>(items: readonly T[], name: string | undefined): T | undefined =>
  items.find((item) => item.name === name);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
