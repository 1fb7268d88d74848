import { randomBytes } from "node:crypto";
import { resources } from "../api/resources.js";
import type { KubernetesApi } from "../api/types.js";
import { buildResumeSecret, type Fleet, needsResumeSecret, resumeSecretName } from "../objects/index.js";
import type { FleetCaches } from "./fleet-caches.js";
import { lookAtPlace, showAgain } from "./foreign-object.js";
import { type EnsureOutcome, outcomeOf } from "./owned-objects.js";

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
  if (made.kind !== "exists") return outcomeOf(made, secret);
  const standing = await lookAtPlace(api, resources.secrets, secret);
  switch (standing.kind) {
    case "unseen":
      return outcomeOf(await showAgain(kind, standing.object.metadata, secret, api), secret);
    case "foreign":
      return { kind: "refused", message: standing.message };
    case "unknown":
      return outcomeOf(standing.result, secret);
    case "free":
      return { kind: "not_done", message: `Secret ${secret.metadata.name} was deleted meanwhile` };
  }
}
