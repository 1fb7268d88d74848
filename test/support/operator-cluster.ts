import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { PushGatewayStatus } from "../../operator/src/generated/push-gateway.js";
import { freePorts } from "../peers/free-port.js";
import { type KubernetesOptions, type KubernetesServer, startKubernetes } from "../peers/kubernetes.js";
import { type RunningProcess, startProcess } from "../peers/process.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { opaqueSecret } from "./fleet-manifest.js";
import type { Pod } from "./kubelet/objects.js";
import { startTestKubelet, type TestKubelet, type TestKubeletOptions } from "./test-kubelet.js";

const binary = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** What the images of a fleet start on the test's nodes. */
export const fleetImages = {
  "pushfleet/gateway:test": [process.execPath, "--max-semi-space-size=8", binary("gateway/bin/pushfleet-gateway.js")],
  "pushfleet/router:test": [process.execPath, binary("router/bin/pushfleet-router.js")],
} as const;

export interface FleetObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly generation: number; readonly finalizers?: readonly string[] };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: PushGatewayStatus;
}

export interface OperatorOptions {
  readonly id?: string;
  /** Merged over the top level of its configuration. */
  readonly changes?: object;
  readonly kubeconfigFile?: string;
}

/** A control plane, nodes that run pods as processes, and operators as processes. */
export async function startOperatorCluster(
  kubelet: Partial<TestKubeletOptions> = {},
  controlPlane: KubernetesOptions = {},
): Promise<OperatorCluster> {
  const folder = await temporaryFolder("operator-cluster");
  const kubernetes = await startKubernetes(controlPlane);
  try {
    const nodes = ["node-a", "node-b", "node-c"].map((name) => ({ name }));
    const running = await startTestKubelet({ kubeconfigFile: kubernetes.kubeconfigFile, nodes, images: fleetImages, ...kubelet });
    const cluster = new OperatorCluster(folder, kubernetes, running);
    await cluster.kubectl(["create", "namespace", "pushfleet-system"]);
    return cluster;
  } catch (error) {
    await kubernetes.stop();
    await folder.remove();
    throw error;
  }
}

export class OperatorCluster {
  readonly kubernetes: KubernetesServer;
  readonly kubelet: TestKubelet;
  readonly #folder: TemporaryFolder;
  readonly #operators = new Set<RunningProcess>();
  #started = 0;

  constructor(folder: TemporaryFolder, kubernetes: KubernetesServer, kubelet: TestKubelet) {
    this.#folder = folder;
    this.kubernetes = kubernetes;
    this.kubelet = kubelet;
  }

  /** Throws with what kubectl says when it fails. */
  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const { status, stdout, stderr } = await this.kubernetes.kubectl(args, input);
    if (status !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Applies objects as a user does. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.kubectl(["apply", "-f", "-"], objects.map((object) => stringify(object)).join("---\n"));
  }

  /** A namespace that admits restricted pods only, with the Secret "jwt" (key "key"). */
  async createNamespace(name: string, jwtSecret: string): Promise<void> {
    await this.apply(
      { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "pod-security.kubernetes.io/enforce": "restricted" } } },
      opaqueSecret(name, "jwt", { key: jwtSecret }),
    );
  }

  /** `pushfleet-operator` as a process; ready does not mean that it leads. */
  async startOperator({ id, changes, kubeconfigFile = this.kubernetes.kubeconfigFile }: OperatorOptions = {}): Promise<RunningProcess> {
    this.#started += 1;
    const name = id ?? `operator-${this.#started}`;
    const [port] = await freePorts(1);
    const file = join(this.#folder.path, `${name}-${this.#started}.yaml`);
    const images = { gateway: "pushfleet/gateway:test", router: "pushfleet/router:test", haproxy: "haproxy:test" };
    writeFileSync(file, stringify({ id: name, kubeconfig: kubeconfigFile, admin: { host: "127.0.0.1", port }, images, ...changes }));
    const operator = await startProcess({
      name,
      command: process.execPath,
      args: [binary("operator/bin/pushfleet-operator.js"), "-c", file],
      ready: (line) => line.includes('"msg":"ready"'),
      readyDeadlineMs: 20_000,
    });
    this.#operators.add(operator);
    return operator;
  }

  async fleet(namespace: string, name: string): Promise<FleetObject | undefined> {
    const { status, body } = await this.kubernetes.request(
      "GET",
      `/apis/pushfleet.dev/v1alpha1/namespaces/${namespace}/pushgateways/${name}`,
    );
    return status === 200 ? (body as FleetObject) : undefined;
  }

  /** Gateway pods of a fleet by name. */
  async gateways(namespace: string, fleet: string): Promise<readonly Pod[]> {
    const selector = encodeURIComponent(`pushfleet.dev/fleet=${fleet},app.kubernetes.io/component=gateway`);
    const { body } = await this.kubernetes.request("GET", `/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`);
    return (body as { readonly items: readonly Pod[] }).items;
  }

  /** Waits until the fleet matches; fails with the last status it had. */
  async waitForFleet(
    namespace: string,
    name: string,
    what: string,
    matches: (fleet: FleetObject) => boolean,
    deadlineMs = 30_000,
  ): Promise<FleetObject> {
    let last: FleetObject | undefined;
    const find = async (): Promise<FleetObject | undefined> => {
      last = await this.fleet(namespace, name);
      return last !== undefined && matches(last) ? last : undefined;
    };
    try {
      return await waitFor(find, { what: `fleet ${namespace}/${name} ${what}`, deadlineMs, intervalMs: 100 });
    } catch (cause) {
      throw new Error(`fleet ${namespace}/${name} is not ${what}: ${JSON.stringify(last?.status, null, 1)}`, { cause });
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#operators].map((operator) => operator.kill()));
    await this.kubelet.stop();
    await this.kubernetes.stop();
    await this.#folder.remove();
  }
}

/** The condition's status, "" without it. */
export function conditionOf(
  fleet: FleetObject,
  type: string,
): { readonly status: string; readonly reason: string; readonly message: string } {
  const found = fleet.status?.conditions?.find((one) => one.type === type);
  return found ?? { status: "", reason: "", message: "" };
}
