import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { isProcessAlive } from "../../peers/process-alive.js";
import { temporaryFolder } from "../../peers/temporary-folder.js";
import { waitFor } from "../../peers/wait-for.js";
import { ProcessGuard } from "./process-guard.js";

function startGroup(): number {
  const child = spawn("/bin/sleep", ["60"], { detached: true, stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child.pid ?? 0;
}

test("kills the groups that are left and removes the folder when its input ends", async () => {
  const folder = await temporaryFolder("guard");
  onTestFinished(folder.remove);
  const guard = new ProcessGuard(folder.path);
  const [first, spared, frozen] = [startGroup(), startGroup(), startGroup()];
  for (const group of [first, spared, frozen]) guard.add(group);
  process.kill(-frozen, "SIGSTOP");
  guard.remove(spared);
  await guard.stop();
  await waitFor(() => !isProcessAlive(first) && !isProcessAlive(frozen), { what: "the two groups to be gone" });
  expect(isProcessAlive(spared)).toBe(true);
  expect(existsSync(folder.path)).toBe(false);
});
