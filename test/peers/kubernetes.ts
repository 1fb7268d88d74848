import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startOnFreePort } from "./free-port.js";
import { type KubectlResult, runKubectl } from "./kubernetes-kubectl.js";
import { type KubernetesPlace, makeKubernetesPlace, writeKubeconfig } from "./kubernetes-place.js";
import { ControlPlaneProcess } from "./kubernetes-process.js";
import { apiServerProcess, controllerManagerProcess, etcdProcess, KUBERNETES_START_DEADLINE_MS } from "./kubernetes-programs.js";
import { type KubernetesAnswer, type KubernetesBody, KubernetesRequests } from "./kubernetes-request.js";
import { type RunningProcess, startProcess } from "./process.js";
import { waitFor } from "./wait-for.js";

export type { KubectlResult } from "./kubernetes-kubectl.js";
export { KUBERNETES_START_DEADLINE_MS } from "./kubernetes-programs.js";
export type { KubernetesAnswer, KubernetesBody } from "./kubernetes-request.js";

const CRD_FILE = new URL("../../crds/pushgateway.yaml", import.meta.url);
const CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pushgateways.pushfleet.dev";
const PUSH_GATEWAYS_PATH = "/apis/pushfleet.dev/v1alpha1/pushgateways";

export interface KubernetesOptions {
  /** Whether a kube-controller-manager runs: it collects garbage, deletes namespaces, makes default service accounts, EndpointSlices and
   *  the pods of Deployments, and counts for PodDisruptionBudgets. Default: yes; `controllerManager.start()` starts it later. */
  readonly controllerManager?: boolean;
  /** Whether crds/pushgateway.yaml is applied before the controller manager starts. Default: yes. Its garbage collector looks for new
   *  kinds every 30 s only, so objects owned by a kind that comes later may stay that long. */
  readonly crd?: boolean;
  /** Flags after ours, so they win: `["--event-ttl=1m", "--watch-cache=false"]`. */
  readonly apiServerFlags?: readonly string[];
  readonly controllerManagerFlags?: readonly string[];
}

/** Starts etcd, kube-apiserver and kube-controller-manager of our own on 127.0.0.1, with RBAC and the default admission plugins (Pod
 *  Security among them), without nodes and scheduler. For suites that ask for the peer "kubernetes". */
export function startKubernetes(options: KubernetesOptions = {}): Promise<KubernetesServer> {
  return startOnFreePort(async (port) => {
    const place = await makeKubernetesPlace(port);
    const server = new KubernetesServer(place, await writeKubeconfig(place, "admin", place.admin), options);
    try {
      await server.etcd.start();
      await server.apiServer.start();
      if (options.crd !== false) await server.applyCrd();
      if (options.controllerManager !== false) await server.controllerManager.start();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  });
}

export class KubernetesServer {
  readonly url: string;
  /** Of a member of system:masters, who may do anything. */
  readonly kubeconfigFile: string;
  readonly etcd: ControlPlaneProcess;
  /** Its `start` resolves when /readyz answers. */
  readonly apiServer: ControlPlaneProcess;
  readonly controllerManager: ControlPlaneProcess;
  readonly #place: KubernetesPlace;
  readonly #requests: KubernetesRequests;
  #users = 0;

  constructor(place: KubernetesPlace, kubeconfigFile: string, options: KubernetesOptions) {
    this.#place = place;
    this.url = place.url;
    this.kubeconfigFile = kubeconfigFile;
    this.#requests = new KubernetesRequests(place.port, place.authority.certificatePem, place.admin);
    const { apiServerFlags = [], controllerManagerFlags = [] } = options;
    this.etcd = new ControlPlaneProcess("etcd", () => startProcess(etcdProcess(place)));
    this.apiServer = new ControlPlaneProcess("kube-apiserver", () => this.#launchApiServer(apiServerFlags));
    this.controllerManager = new ControlPlaneProcess("kube-controller-manager", () =>
      startProcess(controllerManagerProcess(place, kubeconfigFile, controllerManagerFlags)),
    );
  }

  /** Configuration, keys and data; gone after `stop`. */
  get folder(): string {
    return this.#place.folder.path;
  }

  /** Writes a kubeconfig for a user in these groups, with a client certificate, and returns its path. He may do what RBAC allows. */
  async kubeconfigFor(user: string, groups: readonly string[] = []): Promise<string> {
    this.#users += 1;
    return writeKubeconfig(this.#place, `user-${this.#users}`, await this.#place.authority.issue({ user, groups }));
  }

  /** Runs kubectl as the administrator, with `input` for `-f -`. An exit code is a result, not an error. */
  kubectl(args: readonly string[], input?: string): Promise<KubectlResult> {
    const cacheFolder = join(this.folder, "kubectl-cache");
    return runKubectl({ program: join(this.#place.bin, "kubectl"), kubeconfigFile: this.kubeconfigFile, cacheFolder }, args, input);
  }

  /** One plain request as the administrator, of any status. Ten times faster than kubectl, which starts a process. */
  request(method: string, path: string, body?: KubernetesBody): Promise<KubernetesAnswer> {
    return this.#requests.send(method, path, body);
  }

  /** Applies crds/pushgateway.yaml, and resolves when PushGateways can be asked for. */
  async applyCrd(): Promise<void> {
    const content = await readFile(CRD_FILE, "utf8");
    const applied = await this.request("PATCH", `${CRD_PATH}?fieldManager=test&force=true&fieldValidation=Strict`, {
      type: "application/apply-patch+yaml",
      content,
    });
    if (applied.status >= 300) throw new Error(`the API server refused crds/pushgateway.yaml: ${JSON.stringify(applied.body)}`);
    const answers = async (): Promise<boolean> => (await this.request("GET", `${PUSH_GATEWAYS_PATH}?limit=1`)).status === 200;
    await waitFor(answers, { what: "the API server to serve PushGateways", deadlineMs: KUBERNETES_START_DEADLINE_MS });
  }

  /** Makes every resource version that a client knows now too old: a watch or a list's next page from one is answered 410. etcd forgets
   *  its history; the API server would still serve watches from its cache, so it is restarted, unless told otherwise. */
  async compact({ restartApiServer = true }: { readonly restartApiServer?: boolean } = {}): Promise<void> {
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const put = { key: base64("pushfleet-test/compacted"), value: base64("") };
    await this.#askEtcd("/v3/kv/put", put);
    const { header } = (await this.#askEtcd("/v3/kv/put", put)) as { readonly header: { readonly revision: string } };
    await this.#askEtcd("/v3/kv/compaction", { revision: header.revision, physical: true });
    if (!restartApiServer) return;
    await this.apiServer.kill();
    await this.apiServer.start();
  }

  /** Ends all of it for good, without ceremony, and removes its folder. Fine to call twice. */
  async stop(): Promise<void> {
    this.#requests.close();
    await Promise.all([this.controllerManager, this.apiServer, this.etcd].map((one) => one.kill()));
    await this.#place.folder.remove();
  }

  async #launchApiServer(flags: readonly string[]): Promise<RunningProcess> {
    const running = await startProcess(apiServerProcess(this.#place, flags));
    try {
      const isReady = async (): Promise<boolean> => {
        if (running.exit !== undefined) throw new Error("it ended");
        return (await this.request("GET", "/readyz")).status === 200;
      };
      await waitFor(isReady, { what: "the API server to be ready", deadlineMs: KUBERNETES_START_DEADLINE_MS, intervalMs: 20 });
      return running;
    } catch (error) {
      await running.kill();
      throw new Error(`${running.name} does not become ready. Its last lines:\n${running.lines().slice(-10).join("\n")}`, { cause: error });
    }
  }

  /** etcd's API as JSON (its gRPC gateway). */
  async #askEtcd(path: string, body: object): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${this.#place.etcdPort}${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd answers ${path} with ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}
