import { readFileSync } from "node:fs";

/** The flags that `<part>/bin/pushfleet-<part>.js` gives its node, from its first line (`#!/usr/bin/env -S A=1 node --flag` → `["--flag"]`): what is
 * measured is what runs.
 * @param {"gateway" | "operator"} part @returns {readonly string[]} */
export function programFlags(part) {
  return wordsOf(part).filter((word) => word.startsWith("--"));
}

/** The environment variables that the same line sets.
 * @param {"gateway" | "operator"} part @returns {Readonly<Record<string, string>>} */
export function programVariables(part) {
  const assignments = wordsOf(part).filter((word) => /^[A-Z]\w*=/.test(word));
  return Object.fromEntries(assignments.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}

/** After `env -S`. @param {string} part */
function wordsOf(part) {
  const program = readFileSync(new URL(`../${part}/bin/pushfleet-${part}.js`, import.meta.url), "utf8");
  return (/^#!\S+ -S (.*)$/m.exec(program)?.[1] ?? "").split(" ");
}
