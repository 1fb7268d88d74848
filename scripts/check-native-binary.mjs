// Checks that the uWebSockets.js binary this machine's Node loads is the one that was recorded: its SHA-256 must stand in
// native-binaries.json. Run by `make build`. Why: docs/adr/0001-uwebsockets-supply-chain.md. Exit: 0 it is, 1 it is not, or it is missing.
//
//     node scripts/check-native-binary.mjs [FOLDER]      default: the folder that the gateway's `uWebSockets.js` resolves to
//     node scripts/check-native-binary.mjs --table [FOLDER]   prints a new table for native-binaries.json
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Node 20 is the oldest supported: its native modules have ABI 115. */
const oldestAbi = 115;
const seeAdr = "docs/adr/0001-uwebsockets-supply-chain.md";

const args = process.argv.slice(2).filter((argument) => argument !== "--table");
const folder = args[0] ?? installedFolder();
if (process.argv.includes("--table")) printTable(folder);
else check(folder);

function installedFolder() {
  try {
    return dirname(createRequire(new URL("../gateway/package.json", import.meta.url)).resolve("uWebSockets.js/package.json"));
  } catch {
    return fail("uWebSockets.js is not installed: run `npm ci`");
  }
}

/** The name is made as uWebSockets.js makes it (uws.js), so what is checked is what is loaded. */
function check(from) {
  const { package: name, version, sha256 } = JSON.parse(readFileSync(new URL("native-binaries.json", import.meta.url), "utf8"));
  const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  const path = join(from, binary);
  const here = `${process.platform} ${process.arch}, Node ${process.versions.node}`;
  if (sha256[binary] === undefined) {
    fail(`${name}@${version} has no recorded binary ${binary} for ${here}: use a Node release of ${releases(sha256)}, or see ${seeAdr}`);
  }
  if (!existsSync(path)) fail(`${path} is missing: remove node_modules and run \`npm ci\``);
  const found = sha256Of(path);
  if (found !== sha256[binary]) {
    fail(
      `${path} is not the binary of ${name}@${version} that was recorded\n  SHA-256 expected ${sha256[binary]}\n  SHA-256 found    ${found}\n` +
        `Do not run it. Remove node_modules and run \`npm ci\`; if that changes nothing, the registry's package has changed. When you changed the version\n` +
        `yourself, review it and write the new table: node scripts/check-native-binary.mjs --table > scripts/native-binaries.json (${seeAdr})`,
    );
  }
  console.log(`${binary}: SHA-256 as recorded (${name}@${version})`);
}

function printTable(from) {
  const { name, version } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"));
  const binaries = readdirSync(from).filter((file) => Number(/^uws_.*_(\d+)\.node$/.exec(file)?.[1] ?? 0) >= oldestAbi);
  const sha256 = Object.fromEntries(binaries.sort().map((file) => [file, sha256Of(join(from, file))]));
  console.log(JSON.stringify({ package: name, version, sha256 }, null, 2));
}

function sha256Of(path) {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function releases(sha256) {
  const abis = { 115: "20", 120: "21", 127: "22", 137: "24", 141: "25" };
  const prefix = `uws_${process.platform}_${process.arch}_`;
  const here = Object.keys(sha256).filter((file) => file.startsWith(prefix));
  const known = here.map((file) => abis[file.slice(prefix.length, -".node".length)]).filter((release) => release !== undefined);
  return known.length === 0 ? "another platform" : `${known.join(", ")}`;
}

function fail(message) {
  console.error(`check-native-binary: ${message}`);
  process.exit(1);
}
