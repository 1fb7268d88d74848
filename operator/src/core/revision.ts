/** Eight hex digits of what a pod is made of. `template` is any JSON value; the order of its keys does not matter. FNV-1a, 32 bits: it only
 *  has to tell one template of a fleet from the next. */
export function revisionOf(template: unknown): string {
  let hash = 0x811c9dc5;
  for (const character of canonicalJson(template)) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}

/** JSON text of a value in which the order of keys says nothing. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(",")}}`;
}
