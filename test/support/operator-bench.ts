import { type ChildProcess, fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import type { PushGatewayStatus } from "../../operator/src/generated/push-gateway.js";
import type { KubernetesObject } from "../../operator/src/kubernetes/api/types.js";
import { type KubernetesServer, startKubernetes } from "../peers/kubernetes.js";
import { waitFor } from "../peers/wait-for.js";
import { KubeletApi } from "./kubelet/api.js";
import { ObjectWatch } from "./kubelet/object-watch.js";
import type { Pod, Secret } from "./kubelet/objects.js";
import { FirstWrites } from "./operator-bench-writes.js";
import { type StatusStreams, startTestKubelet, type TestKubelet } from "./test-kubelet.js";

/*
 * The world of the operator's benchmark (bench/operator.mjs): a real API server, nodes whose pods are statuses and nothing else, and a process that
 * answers for all gateways. The operator itself is started by the benchmark, on a core of its own.
 */

const FLEETS_A_NAMESPACE = 10;
const APPLIES_AT_ONCE = 10;
const PODS_A_NODE = 1_000;

const namespaceOf = (fleet: number): string => `bench-${Math.floor(fleet / FLEETS_A_NAMESPACE)}`;
const nameOf = (fleet: number): string => `fleet-${fleet}`;

export interface FleetsWish {
  readonly fleets: number;
  readonly pods: number;
}

export interface ChangesWish extends FleetsWish {
  readonly changes: number;
  readonly pauseMs: number;
}

interface WatchedFleet extends KubernetesObject {
  readonly status?: PushGatewayStatus;
}

export class OperatorBenchWorld implements StatusStreams {
  readonly #kubernetes: KubernetesServer;
  readonly #api: KubeletApi;
  readonly #gateways: ChildProcess;
  readonly #secrets: ObjectWatch<Secret>;
  readonly #pushGateways: ObjectWatch<WatchedFleet>;
  readonly #writes = new FirstWrites();
  /** Pods that have no certificate yet: address by "namespace/pod". */
  readonly #uncertified = new Map<string, string>();
  readonly #faults: string[] = [];
  #kubelet: TestKubelet | undefined;

  /** `gatewaysScript`: what answers for the gateways. */
  static async start(gatewaysScript: string): Promise<OperatorBenchWorld> {
    const kubernetes = await startKubernetes({ controllerManager: false });
    try {
      const world = new OperatorBenchWorld(kubernetes, gatewaysScript);
      await world.#start();
      return world;
    } catch (error) {
      await kubernetes.stop();
      throw error;
    }
  }

  constructor(kubernetes: KubernetesServer, gatewaysScript: string) {
    this.#kubernetes = kubernetes;
    this.#api = new KubeletApi(kubernetes.kubeconfigFile);
    this.#gateways = fork(gatewaysScript, [], { serialization: "advanced" });
    this.#gateways.on("message", (message: { readonly fault?: string }) => {
      if (message.fault !== undefined) this.#faults.push(message.fault);
    });
    this.#secrets = new ObjectWatch(this.#api, "/api/v1/secrets");
    this.#pushGateways = new ObjectWatch(this.#api, "/apis/pushfleet.dev/v1alpha1/pushgateways");
  }

  /** For the operator: with the token of a service account, as in a cluster. The API server looks at a client certificate's signature at each
   *  request, at a token's seldom. */
  get kubeconfigFile(): string {
    return join(this.#kubernetes.folder, "operator.kubeconfig");
  }

  async #start(): Promise<void> {
    this.#secrets.onChange((before, after) => {
      if (after === undefined) return;
      if (before === undefined) this.#writes.secretMade(after.metadata.namespace ?? "", after.metadata.name);
      const pod = `${after.metadata.namespace}/${after.metadata.name.replace(/-tls$/, "")}`;
      const ip = this.#uncertified.get(pod);
      if (ip !== undefined) this.#open(pod, ip, after);
    });
    this.#pushGateways.onChange((_, after) => {
      if (after === undefined) return;
      const { namespace, name } = after.metadata;
      this.#writes.statusWritten(namespace ?? "", name, after.status?.observedGeneration ?? 0);
    });
    await this.#must("POST", "/api/v1/namespaces", namespaceObject("pushfleet-system"));
    await this.#writeKubeconfig();
    await this.#secrets.start();
    await this.#pushGateways.start();
    const nodes = Array.from({ length: 12 }, (_, index) => ({ name: `node-${index}`, pods: PODS_A_NODE }));
    const { kubeconfigFile } = this.#kubernetes;
    this.#kubelet = await startTestKubelet({ kubeconfigFile, nodes, statusOnly: true, statusStreams: this });
  }

  async stop(): Promise<void> {
    await Promise.all([this.#secrets.stop(), this.#pushGateways.stop(), this.#kubelet?.stop()]);
    this.#gateways.kill("SIGKILL");
    await this.#api.close();
    await this.#kubernetes.stop();
  }

  started(pod: Pod, podIp: string): void {
    if (pod.metadata.labels?.["app.kubernetes.io/component"] !== "gateway") return;
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const secret = this.#secrets.objects.get(`${key}-tls`);
    if (secret === undefined) this.#uncertified.set(key, podIp);
    else this.#open(key, podIp, secret);
  }

  changed(): void {}

  ended(_: Pod, podIp: string): void {
    this.#gateways.send({ close: podIp });
  }

  #open(pod: string, ip: string, secret: Secret): void {
    this.#uncertified.delete(pod);
    const text = (entry: string): string => Buffer.from(secret.data?.[entry] ?? "", "base64").toString();
    this.#gateways.send({ open: { pod, ip, cert: text("tls.crt"), key: text("tls.key"), ca: text("ca.crt") } });
  }

  /** Namespaces and the Secrets that the fleets' specs name: not a part of what is measured. */
  async prepare({ fleets }: FleetsWish): Promise<void> {
    for (const name of new Set(Array.from({ length: fleets }, (_, index) => namespaceOf(index)))) {
      await this.#must("POST", "/api/v1/namespaces", namespaceObject(name));
      const secret = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "jwt" },
        stringData: { key: "a secret of thirty-two bytes or so" },
      };
      await this.#must("POST", `/api/v1/namespaces/${name}/secrets`, secret);
    }
  }

  /** Makes the fleets and waits until each says that all its pods serve. Answers the ms from the first request on. */
  async firstReconcile({ fleets, pods }: FleetsWish, deadlineMs: number): Promise<number> {
    const startedAtMs = performance.now();
    const left = Array.from({ length: fleets }, (_, index) => index).values();
    const apply = async (): Promise<void> => {
      for (const index of left) {
        await this.#must("POST", `/apis/pushfleet.dev/v1alpha1/namespaces/${namespaceOf(index)}/pushgateways`, fleetObject(index, pods));
      }
    };
    await Promise.all(Array.from({ length: APPLIES_AT_ONCE }, apply));
    const what = `${fleets} fleets of ${pods} pods to serve`;
    await waitFor(async () => this.serving(pods) === fleets, { what, deadlineMs, intervalMs: 50 }).catch((cause: unknown) => {
      throw new Error(`${this.serving(pods)} of them do; ${this.#describe()}`, { cause });
    });
    return performance.now() - startedAtMs;
  }

  /** How many fleets say that so many pods serve. */
  serving(pods: number): number {
    return [...this.#pushGateways.objects.values()].filter(({ status }) => (status?.pods?.serving ?? 0) >= pods).length;
  }

  /** Asks random fleets for one more pod, one after the other; answers for each the ms from the answer on until the operator's first write for it is
   *  seen. */
  async changes({ fleets, pods, changes, pauseMs }: ChangesWish): Promise<readonly number[]> {
    const wanted = new Map<number, number>();
    const delays: number[] = [];
    for (let change = 0; change < changes; change += 1) {
      const fleet = Math.floor(Math.random() * fleets);
      const minReplicas = (wanted.get(fleet) ?? pods) + 1;
      wanted.set(fleet, minReplicas);
      delays.push(await this.#change(fleet, minReplicas, pods));
      await delay(pauseMs);
    }
    return delays;
  }

  async #change(fleet: number, minReplicas: number, pods: number): Promise<number> {
    const [namespace, name] = [namespaceOf(fleet), nameOf(fleet)];
    const path = `/apis/pushfleet.dev/v1alpha1/namespaces/${namespace}/pushgateways/${name}`;
    const generation = (this.#pushGateways.objects.get(`${namespace}/${name}`)?.metadata.generation ?? 0) + 1;
    const written = this.#writes.next(namespace, name, generation);
    const answer = await this.#api.patch(path, "merge", { spec: { pools: [poolOf(minReplicas, pods)] } });
    const answeredAtMs = performance.now();
    if (answer.status !== 200) throw new Error(`PATCH ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return Math.max(0, (await written) - answeredAtMs);
  }

  /** Between two statuses of a gateway. */
  setStatusPeriod(periodMs: number): void {
    this.#gateways.send({ periodMs });
  }

  /** What the gateways have open and have sent. */
  async streams(): Promise<{ readonly streams: number; readonly statuses: number }> {
    const answer = new Promise<{ readonly streams: number; readonly statuses: number }>((resolve) => {
      const take = (message: { readonly fault?: string; readonly streams: number; readonly statuses: number }): void => {
        if (message.fault !== undefined) return;
        this.#gateways.off("message", take);
        resolve(message);
      };
      this.#gateways.on("message", take);
    });
    this.#gateways.send({ ask: true });
    return await answer;
  }

  /** By name: the processes whose CPU time tells who worked. */
  pids(): Readonly<Record<string, number>> {
    const { etcd, apiServer } = this.#kubernetes;
    return {
      "kube-apiserver": apiServer.pid,
      etcd: etcd.pid,
      "kubelet and clients": process.pid,
      gateways: this.#gateways.pid ?? 0,
    };
  }

  #describe(): string {
    const fleets = [...this.#pushGateways.objects.values()];
    const sample = fleets.find(({ status }) => status?.pods === undefined) ?? fleets[0];
    return JSON.stringify({ faults: this.#faults.slice(0, 5), refusals: this.#kubelet?.refusals.slice(-5), sample: sample?.status });
  }

  async #writeKubeconfig(): Promise<void> {
    const account = { kind: "ServiceAccount", name: "operator", namespace: "pushfleet-system" };
    const accounts = `/api/v1/namespaces/${account.namespace}/serviceaccounts`;
    await this.#must("POST", accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: account.name } });
    await this.#must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "bench-operator" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [account],
    });
    const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
    const answer = (await this.#must("POST", `${accounts}/${account.name}/token`, request)) as {
      readonly status: { readonly token: string };
    };
    const admin = parse(readFileSync(this.#kubernetes.kubeconfigFile, "utf8")) as { readonly users: readonly { readonly name: string }[] };
    const users = admin.users.map(({ name }) => ({ name, user: { token: answer.status.token } }));
    writeFileSync(this.kubeconfigFile, stringify({ ...admin, users }));
  }

  async #must(method: "POST", path: string, body: object): Promise<unknown> {
    const answer = await this.#api.request(method, path, body);
    if (answer.status >= 300 || answer.status === 0) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
}

function namespaceObject(name: string): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

function poolOf(minReplicas: number, pods: number): object {
  return { name: "default", minReplicas, maxReplicas: pods + 100, softConnections: 50_000, hardConnections: 60_000 };
}

/** As examples/kubernetes.yaml, but for what its pods would need to run. */
function fleetObject(index: number, pods: number): object {
  return {
    apiVersion: "pushfleet.dev/v1alpha1",
    kind: "PushGateway",
    metadata: { name: nameOf(index), namespace: namespaceOf(index) },
    spec: {
      gateway: { workers: 1, auth: { hs256SecretRef: { name: "jwt", key: "key" } } },
      pools: [poolOf(pods, pods)],
      drain: { reconnectsPerSecond: 1_000, deadlineSeconds: 300 },
      router: { minReplicas: 1, maxReplicas: 1 },
      registry: { kind: "Redis", url: "redis://redis:6379" },
      store: { kind: "Memory", allowVolatile: true },
      loadBalancer: { kind: "Service", service: { type: "ClusterIP" } },
    },
  };
}
