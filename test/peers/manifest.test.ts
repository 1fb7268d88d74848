import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatManifest, manifestFaults, parseManifest, readFolderManifest } from "./manifest.mjs";
import { temporaryFolder } from "./temporary-folder.js";

/** `printf hello | sha256sum` */
const HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

test("a folder's manifest is what sha256sum prints, and reads back the same", async () => {
  const folder = await temporaryFolder("manifest");
  await writeFile(join(folder.path, "b.jar"), "hello");
  await writeFile(join(folder.path, "a.jar"), "hello");
  const manifest = await readFolderManifest(folder.path);
  expect(formatManifest(manifest)).toBe(`${HELLO}  a.jar\n${HELLO}  b.jar\n`);
  expect(parseManifest(formatManifest(manifest))).toEqual(manifest);
  await folder.remove();
});

test("missing, altered and unexpected files are faults, each by name", () => {
  const other = HELLO.replace("2cf", "000");
  const expected = new Map([
    ["same.jar", HELLO],
    ["gone.jar", HELLO],
    ["bad.jar", HELLO],
  ]);
  const actual = new Map([
    ["same.jar", HELLO],
    ["bad.jar", other],
    ["more.jar", HELLO],
  ]);
  expect(manifestFaults(expected, actual)).toEqual(["gone.jar is missing", "bad.jar has other contents", "more.jar does not belong there"]);
  expect(manifestFaults(expected, expected)).toEqual([]);
});

test.each(["2cf24dba  a.jar", `${HELLO} a.jar`, `${HELLO}  ../a.jar`])("a line that is not a manifest's is an error: %s", (line) => {
  expect(() => parseManifest(line)).toThrow("not a line of a SHA-256 manifest");
});
