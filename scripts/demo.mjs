// What `make demo` runs after the build: `pushfleet local` on an example, or with `storm` the demonstration under load.
import { spawn } from "node:child_process";

const name = process.argv[2] ?? "pushgateway";
const args = name === "storm" ? ["storm", "-f", "examples/storm.yaml"] : ["local", "-f", `examples/${name}.yaml`];
const child = spawn(process.execPath, ["cli/bin/pushfleet.js", ...args], { stdio: "inherit" });
// The terminal sends Ctrl-C to the whole group: the child stops itself, this process waits for it.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
