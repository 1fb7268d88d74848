import { randomBytes } from "node:crypto";
import { resources } from "../api/resources.js";
import type { KubernetesApi } from "../api/types.js";
import { buildResumeSecret, type Fleet, needsResumeSecret, resumeSecretName } from "../objects/index.js";
import { type EnsureOutcome, outcomeOf } from "./ensure-outcome.js";
import type { FleetCaches } from "./fleet-caches.js";
import { yieldTo } from "./foreign-object.js";

export interface ResumeSecretParts {
  readonly api: KubernetesApi;
  readonly caches: Pick<FleetCaches, "owned">;
}

/** The key of resume tokens is made once; a second operator that makes another finds this one there. */
export async function ensureResumeSecret(fleet: Fleet, { api, caches }: ResumeSecretParts): Promise<EnsureOutcome> {
  const kind = caches.owned.get("Secret");
  if (!needsResumeSecret(fleet) || kind === undefined) return { kind: "ensured" };
  if (kind.cache.byIndex("owner", fleet.uid).some((one) => one.metadata.name === resumeSecretName(fleet))) return { kind: "ensured" };
  const secret = buildResumeSecret(fleet, randomBytes(32));
  const made = await api.create(resources.secrets, secret);
  if (made.kind === "ok") kind.cache.overlay(made.object);
  return made.kind === "exists" ? await yieldTo(kind, secret, api) : outcomeOf(made, secret);
}
