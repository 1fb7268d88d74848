// @ts-check
// `node test/peers/kafka/write-manifest.mjs`: for whoever changed the pom. Writes jars.sha256 from what Maven gives now.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyKafkaJars, MANIFEST_FILE } from "../kafka-jars.mjs";
import { formatManifest, readFolderManifest } from "../manifest.mjs";

const folder = await mkdtemp(join(tmpdir(), "pushfleet-kafka-jars-"));
await copyKafkaJars(folder);
await writeFile(MANIFEST_FILE, formatManifest(await readFolderManifest(folder)));
await rm(folder, { recursive: true });
