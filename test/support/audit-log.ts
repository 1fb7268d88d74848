import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";

/** What an API server writes of each request. */
interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  /** When it was answered. */
  readonly stageTimestamp: string;
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** A request as one line, "create pods demo-default-0-1a2b3c4d", and whether it was refused. */
export interface AuditedWrite {
  readonly what: string;
  readonly object: string;
  readonly isRefused: boolean;
}

const writingVerbs = ["create", "update", "patch", "delete"];

/** An API server's own account of what one user asked of it. */
export class AuditLog {
  readonly #file: string;
  /** For the API server. */
  readonly flags: readonly string[];

  private constructor(file: string, flags: readonly string[]) {
    this.#file = file;
    this.flags = flags;
  }

  /** In `folder`. `only` "writes": reads are not noted. */
  static async of(user: string, folder: string, only?: "writes"): Promise<AuditLog> {
    const [policy, file] = [join(folder, "audit-policy.yaml"), join(folder, "audit.log")];
    const rules = [{ level: "Metadata", users: [user], ...(only === "writes" ? { verbs: writingVerbs } : {}) }, { level: "None" }];
    await writeFile(policy, stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", omitStages: ["RequestReceived"], rules }));
    return new AuditLog(file, [`--audit-policy-file=${policy}`, `--audit-log-path=${file}`]);
  }

  /** Rights that were used ("patch apps/deployments"), and requests that were forbidden. An apply that makes an object uses "create" too. */
  async read(): Promise<{ readonly used: ReadonlySet<string>; readonly forbidden: readonly string[] }> {
    const events = await this.#events();
    const used = new Set<string>();
    for (const { verb, objectRef, responseStatus } of events) {
      const { apiGroup = "", resource = "", subresource } = objectRef ?? {};
      const what = rightOf(apiGroup, subresource === undefined ? resource : `${resource}/${subresource}`);
      used.add(`${verb} ${what}`);
      if (verb === "patch" && responseStatus?.code === 201) used.add(`create ${what}`);
    }
    const forbidden = events
      .filter(({ responseStatus }) => responseStatus?.code === 403)
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
    return { used, forbidden };
  }

  /** What a program with such a user agent has tried to write since then. */
  async writes(userAgent: string, sinceMs: number): Promise<readonly AuditedWrite[]> {
    const events = await this.#events();
    const own = events.filter((one) => one.userAgent?.startsWith(userAgent) === true && Date.parse(one.stageTimestamp) >= sinceMs);
    return own
      .filter(({ verb }) => writingVerbs.includes(verb))
      .map(({ verb, objectRef: { resource = "", subresource = "", name = "" } = {}, responseStatus: { code = 0 } = {} }) => ({
        what: `${verb} ${subresource === "" ? resource : `${resource}/${subresource}`} ${name}`,
        object: name,
        isRefused: code === 403 || code === 422,
      }));
  }

  async #events(): Promise<readonly AuditEvent[]> {
    return (await readFile(this.#file, "utf8"))
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as AuditEvent);
  }
}

/** Every right that the roles of a manifest give. */
export function grantedRights(manifest: string): ReadonlySet<string> {
  const granted = new Set<string>();
  for (const document of parseAllDocuments(manifest)) {
    const { kind, rules = [] } = document.toJS() as { readonly kind: string; readonly rules?: readonly Rule[] };
    if (kind !== "ClusterRole" && kind !== "Role") continue;
    for (const { apiGroups, resources, verbs } of rules)
      for (const group of apiGroups)
        for (const resource of resources) for (const verb of verbs) granted.add(`${verb} ${rightOf(group, resource)}`);
  }
  return granted;
}

const rightOf = (group: string, resource: string): string => (group === "" ? resource : `${group}/${resource}`);
