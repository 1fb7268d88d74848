import { readFileSync } from "node:fs";

/** The flags that `gateway/bin/pushfleet-gateway.js` gives its node, from its first line: what is measured is what runs. */
export const gatewayFlags = readFlags(readFileSync(new URL("../gateway/bin/pushfleet-gateway.js", import.meta.url), "utf8"));

/** `#!/usr/bin/env -S node --flag` → `["--flag"]`.
 * @param {string} program @returns {readonly string[]} */
function readFlags(program) {
  return (/^#!.*\bnode\b(.*)$/m.exec(program)?.[1] ?? "").split(" ").filter((flag) => flag.startsWith("--"));
}
