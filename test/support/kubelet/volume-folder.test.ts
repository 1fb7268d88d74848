import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../peers/temporary-folder.js";
import { VolumeFolder } from "./volume-folder.js";

test("new content takes the former's place by one link, and what is no more in it goes", async () => {
  const folder = await temporaryFolder("volume");
  onTestFinished(folder.remove);
  const volume = new VolumeFolder(folder.path);
  await volume.write(
    new Map([
      ["a.yaml", Buffer.from("1")],
      ["b/c", Buffer.from("2")],
    ]),
    0o644,
  );
  const former = await readlink(join(folder.path, "..data"));
  expect(await readlink(join(folder.path, "a.yaml"))).toBe("..data/a.yaml");
  expect(await readFile(join(folder.path, "b/c"), "utf8")).toBe("2");
  await volume.write(new Map([["a.yaml", Buffer.from("3")]]), 0o644);
  const latter = await readlink(join(folder.path, "..data"));
  expect(latter).not.toBe(former);
  expect((await readdir(folder.path)).sort()).toEqual(["..data", latter, "a.yaml"].sort());
  expect(await readFile(join(folder.path, "a.yaml"), "utf8")).toBe("3");
  await volume.write(new Map([["a.yaml", Buffer.from("3")]]), 0o644);
  expect(await readlink(join(folder.path, "..data"))).toBe(latter);
});
