import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { runToEnd } from "../support/run-to-end.js";

const operator = fileURLToPath(new URL("../../operator/bin/pushfleet-operator.js", import.meta.url));

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder("operator-process");
});
afterAll(async () => await folder?.remove());

function written(name: string, content: object): string {
  const file = join(folder.path, name);
  writeFileSync(file, stringify(content));
  return file;
}

test("a kubeconfig of no use is a bad configuration, told by --check too", async () => {
  const kubeconfig = written("kubeconfig", { apiVersion: "v1", kind: "Config", "current-context": "a" });
  const file = written("operator.yaml", { kubeconfig });
  for (const args of [["--check"], []]) {
    expect(await runToEnd(operator, ["-c", file, ...args])).toEqual({
      code: 2,
      out: "",
      err: `pushfleet-operator: kubeconfig: "${kubeconfig}" is not right, expected a kubeconfig with a context "a", its current-context\n`,
    });
  }
});

test("an operator that finds no cluster ends with 1 and says what it needs", async () => {
  const ended = await runToEnd(operator, ["-c", written("lost.yaml", { admin: { port: 0 } })], { HOME: folder.path });
  expect(ended).toMatchObject({ code: 1, err: "" });
  expect(JSON.parse(ended.out)).toMatchObject({
    msg: "start failed",
    err: { message: expect.stringMatching(/^kubeconfig: no cluster to connect to; name a kubeconfig file/) },
  });
});
