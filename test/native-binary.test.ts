import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const script = new URL("../scripts/check-native-binary.mjs", import.meta.url).pathname;
const check = (...folder: readonly string[]) => spawnSync(process.execPath, [script, ...folder], { encoding: "utf8" });

describe("the check of the native binary", () => {
  const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "pushfleet-native-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("the binary that this Node loads is the one recorded", () => {
    expect(check()).toMatchObject({ status: 0, stderr: "", stdout: expect.stringContaining(`${binary}: SHA-256 as recorded`) });
  });

  test("another binary under its name stops the build and says what to do", () => {
    writeFileSync(join(folder, binary), "not what was recorded");
    const { status, stderr } = check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain("SHA-256 expected");
    expect(stderr).toContain("Do not run it.");
  });

  test("a binary that is not there stops the build", () => {
    const { status, stderr } = check(folder);
    expect(status).toBe(1);
    expect(stderr).toContain("npm ci");
  });
});
