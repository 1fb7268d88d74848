import type { ApiResult, KubernetesObject } from "../api/types.js";

/** What became of an object that the fleet is to own. */
export type EnsureOutcome =
  | { readonly kind: "ensured" }
  | { readonly kind: "refused"; readonly message: string }
  /** Try again soon. */
  | { readonly kind: "not_done"; readonly message: string };

/** What became of a request about `object`; a refusal names it, for a webhook's own words may not. */
export function outcomeOf(result: ApiResult<unknown>, { kind, metadata }: KubernetesObject): EnsureOutcome {
  if (result.kind === "ok") return { kind: "ensured" };
  const message = `${kind} ${metadata.name}: ${"message" in result ? result.message : result.kind}`;
  return { kind: result.kind === "refused" ? "refused" : "not_done", message };
}
