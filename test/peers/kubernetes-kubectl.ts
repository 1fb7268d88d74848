import { spawn } from "node:child_process";

const KUBECTL_TIMEOUT_MS = 60_000;

export interface KubectlResult {
  /** Exit code; null when it was killed, as after 60 s. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubectlPlace {
  readonly program: string;
  readonly kubeconfigFile: string;
  /** Where it keeps what it learned of the API. */
  readonly cacheFolder: string;
}

/** Runs kubectl to its end, with `input` as its standard input (for `-f -`). Never rejects for an exit code. */
export function runKubectl(place: KubectlPlace, args: readonly string[], input = ""): Promise<KubectlResult> {
  const env = { ...process.env, KUBECONFIG: place.kubeconfigFile, KUBECACHEDIR: place.cacheFolder, KUBERC: "off" };
  const child = spawn(place.program, args, { env, stdio: ["pipe", "pipe", "pipe"], timeout: KUBECTL_TIMEOUT_MS, killSignal: "SIGKILL" });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output.stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    output.stderr += chunk;
  });
  child.stdin.on("error", () => {}); // it need not read its input; what went wrong is in its exit code
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, ...output }));
  });
}
