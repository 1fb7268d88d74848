// Runs every check and test, and ends with `N passed, N failed, N skipped`. Type check and lint count as one test each.
// `npm_config_update_notifier` and friends come from the Makefile, which has built everything before.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const totals = { passed: 0, failed: 0, skipped: 0 };
const folder = mkdtempSync(join(tmpdir(), "pushfleet-test-"));
const bin = (name) => join("node_modules", ".bin", name);

function run(command, args, options = {}) {
  return spawnSync(command, args, {
    stdio: options.quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    encoding: "utf8",
    ...options,
  });
}

/** One check that counts as one test; its output is shown only when it fails. */
function check(name, command, args) {
  const startedMs = Date.now();
  const { status, stdout, stderr } = run(command, args, { quiet: true });
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
  if (status === 0) {
    totals.passed++;
    console.log(`ok      ${name} (${seconds} s)`);
  } else {
    totals.failed++;
    console.log(`${stdout}${stderr}\nFAILED  ${name} (${seconds} s)`);
  }
}

/** One project of vitest.config.ts; counts come from its JSON report, so that a crash of the runner is a failure too. */
function suite(project) {
  const report = join(folder, `${project}.json`);
  const { status } = run(bin("vitest"), [
    "run",
    "--project",
    project,
    "--passWithNoTests",
    "--reporter=dot",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  try {
    const results = JSON.parse(readFileSync(report, "utf8"));
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites } = results;
    totals.passed += numPassedTests;
    totals.failed += numFailedTests;
    totals.skipped += numPendingTests + numTodoTests;
    if (status !== 0 && numFailedTests === 0) totals.failed += Math.max(1, numFailedTestSuites);
    console.log(`slowest ${project} files: ${slowest(results.testResults)}`);
  } catch (cause) {
    console.log(`FAILED  ${project}: the test runner left no report (${cause.message})`);
    totals.failed++;
  }
}

/** Where the time of a whole run goes. */
function slowest(files) {
  const timed = files.map(({ name, startTime, endTime }) => ({ name: basename(name), seconds: Math.round((endTime - startTime) / 1000) }));
  timed.sort((a, b) => b.seconds - a.seconds);
  return timed
    .slice(0, 8)
    .map(({ name, seconds }) => `${name} ${seconds} s`)
    .join(", ");
}

const provided = run(process.execPath, ["test/peers/provide.mjs"]);
if (provided.status !== 0) console.log("some peers are missing: their tests will say so");

check("type check", bin("tsc"), ["-p", "tsconfig.test.json"]);
check("lint", bin("biome"), ["ci", "--diagnostic-level=warn", "."]);
suite("unit");
suite("integration");

rmSync(folder, { recursive: true, force: true });
process.exitCode = totals.failed > 0 ? 1 : 0;
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
