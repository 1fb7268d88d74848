import { existsSync } from "node:fs";
import { copyFile, cp, link, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { areKafkaJarsComplete, checkKafkaJars, type KafkaJars, locateKafkaJars, provideKafkaJars } from "./kafka-jars.mjs";
import { describeWithPeers } from "./peer.js";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";

/** Copies from Maven's local repository in about 2 s; the first time on a machine it downloads. */
const BUILD_TIMEOUT_MS = 120_000;

let cache: TemporaryFolder;
let jars: KafkaJars;
beforeEach(async () => {
  cache = await temporaryFolder("cache");
  jars = locateKafkaJars({ PUSHFLEET_CACHE: cache.path });
});
afterEach(() => cache.remove());

test("the cache is ~/.cache/pushfleet unless PUSHFLEET_CACHE names another folder", () => {
  expect(jars.folder).toBe(join(cache.path, basename(jars.folder)));
  expect(basename(jars.folder)).toMatch(/^kafka-4\.1\.1-[0-9a-f]{12}$/);
  expect(locateKafkaJars({}).folder).toMatch(/\/\.cache\/pushfleet\/kafka-4\.1\.1-[0-9a-f]{12}$/);
});

describeWithPeers(["kafka-server"], "the cache of Kafka's jars", () => {
  /** Fills the cache with hard links to the machine's jars. */
  beforeEach(async () => {
    const whole = join(locateKafkaJars().folder, "jars");
    await mkdir(join(jars.folder, "jars"), { recursive: true });
    for (const name of await readdir(whole)) await linkOrCopy(join(whole, name), join(jars.folder, "jars", name));
    await writeFile(join(jars.folder, "complete"), "");
  });

  test("whole jars are used again without asking Maven", async () => {
    const lines: string[] = [];
    await expect(provideKafkaJars((line) => lines.push(line), jars)).resolves.toBe("reused");
    expect(lines).toEqual([]);
  });

  test(
    "damaged jars are found and built again",
    async () => {
      const [damaged = "", missing = ""] = (await readdir(join(jars.folder, "jars"))).sort();
      await replaceContents(join(jars.folder, "jars", damaged));
      await rm(join(jars.folder, "jars", missing));
      const faults = [`${missing} is missing`, `${damaged} has other contents`];
      await expect(checkKafkaJars(jars)).resolves.toEqual(faults);

      const lines: string[] = [];
      await expect(provideKafkaJars((line) => lines.push(line), jars)).resolves.toBe("built");
      expect(lines).toEqual([`kafka: fetching 4.1.1 from Maven (${faults.join(", ")})`]);
      await expect(checkKafkaJars(jars)).resolves.toEqual([]);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "jars without the mark of completeness, and a killed run's half-made ones, are built anew by one of two at once",
    async () => {
      await rm(join(jars.folder, "complete"));
      await cp(join(jars.folder, "jars"), join(`${jars.folder}.partial`, "jars"), {
        recursive: true,
        filter: (path) => !path.includes("jackson"),
      });
      await writeFile(join(`${jars.folder}.partial`, "jars", "half.jar"), "half");
      const provided = await Promise.all([provideKafkaJars(() => {}, jars), provideKafkaJars(() => {}, jars)]);
      expect(provided.sort()).toEqual(["built", "reused"]);
      expect(areKafkaJarsComplete(jars)).toBe(true);
      expect(existsSync(`${jars.folder}.partial`)).toBe(false);
      await expect(checkKafkaJars(jars)).resolves.toEqual([]);
    },
    BUILD_TIMEOUT_MS,
  );
});

/** A hard link costs nothing, where both folders are on one file system. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

/** A new file under the old name: writing into the hard link would damage the machine's own jars. */
async function replaceContents(path: string): Promise<void> {
  await rm(path);
  await writeFile(path, "not a jar");
}
