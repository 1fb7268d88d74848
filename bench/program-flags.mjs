import { readFileSync } from "node:fs";

/** The flags that `<part>/bin/pushfleet-<part>.js` gives its node, from its first line (`#!/usr/bin/env -S node --flag` → `["--flag"]`): what is
 * measured is what runs.
 * @param {"gateway" | "operator"} part @returns {readonly string[]} */
export function programFlags(part) {
  const program = readFileSync(new URL(`../${part}/bin/pushfleet-${part}.js`, import.meta.url), "utf8");
  return (/^#!.*\bnode\b(.*)$/m.exec(program)?.[1] ?? "").split(" ").filter((flag) => flag.startsWith("--"));
}
