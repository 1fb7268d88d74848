// @ts-check
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** @typedef {ReadonlyMap<string, string>} Manifest file name → SHA-256 in hex */

const LINE = /^([0-9a-f]{64}) {2}([^/\s]+)$/;

/**
 * Reads the format of `sha256sum`: one `<64 hex digits>  <file name>` a line.
 * @param {string} text
 * @returns {Manifest}
 */
export function parseManifest(text) {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [, digest, name] = LINE.exec(line) ?? [];
      if (digest === undefined || name === undefined) throw new Error(`not a line of a SHA-256 manifest: ${line}`);
      return [name, digest];
    }),
  );
}

/** @param {Manifest} manifest */
export function formatManifest(manifest) {
  const names = [...manifest.keys()].sort();
  return names.map((name) => `${manifest.get(name)}  ${name}\n`).join("");
}

/**
 * The manifest of the files that are in `folder` now.
 * @param {string} folder
 * @returns {Promise<Manifest>}
 */
export async function readFolderManifest(folder) {
  const names = await readdir(folder);
  return new Map(await Promise.all(names.map(async (name) => /** @type {const} */ ([name, await sha256(join(folder, name))]))));
}

/**
 * In what `actual` differs from `expected`: one phrase a file; empty when they are the same.
 * @param {Manifest} expected
 * @param {Manifest} actual
 * @returns {readonly string[]}
 */
export function manifestFaults(expected, actual) {
  const missing = [...expected.keys()].filter((name) => !actual.has(name)).map((name) => `${name} is missing`);
  const altered = [...expected].filter(([name, digest]) => actual.has(name) && actual.get(name) !== digest);
  const unexpected = [...actual.keys()].filter((name) => !expected.has(name)).map((name) => `${name} does not belong there`);
  return [...missing, ...altered.map(([name]) => `${name} has other contents`), ...unexpected];
}

/** @param {string} path */
async function sha256(path) {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}
