import { join } from "node:path";
import type { KubernetesPlace } from "./kubernetes-place.js";
import type { ProcessOptions } from "./process.js";

/** A start takes 3 s on two idle cores: this is for busy ones. Also a hook's timeout. */
export const KUBERNETES_START_DEADLINE_MS = 90_000;

/** Collects garbage at half the usual growth: less memory for a little more work. Who measures something wants it otherwise, and says so in our
 *  own environment. */
const ENVIRONMENT = { GOGC: process.env["GOGC"] ?? "50" };

/** A member without peers: it listens for them on a port that nobody is told. Losing what was not flushed is fine for a test. */
export function etcdProcess({ bin, folder, etcdPort }: KubernetesPlace): ProcessOptions {
  const url = `http://127.0.0.1:${etcdPort}`;
  const nobody = "http://127.0.0.1:1";
  return {
    name: `etcd on port ${etcdPort}`,
    command: join(bin, "etcd"),
    args: [
      `--data-dir=${join(folder.path, "etcd")}`,
      "--unsafe-no-fsync",
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      "--listen-peer-urls=http://127.0.0.1:0",
      `--initial-advertise-peer-urls=${nobody}`,
      `--initial-cluster=default=${nobody}`,
    ],
    env: ENVIRONMENT,
    ready: (line) => line.includes("serving client traffic"),
    readyDeadlineMs: KUBERNETES_START_DEADLINE_MS,
  };
}

/** "Serving securely" comes before the first /readyz: who starts it waits for that too. */
export function apiServerProcess({ bin, folder, port, etcdPort }: KubernetesPlace, flags: readonly string[]): ProcessOptions {
  const file = (name: string): string => join(folder.path, name);
  return {
    name: `kube-apiserver on port ${port}`,
    command: join(bin, "kube-apiserver"),
    args: [
      `--etcd-servers=http://127.0.0.1:${etcdPort}`,
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      "--advertise-address=127.0.0.1",
      "--endpoint-reconciler-type=none", // an Endpoints object may not hold a loopback address
      "--service-cluster-ip-range=10.96.0.0/16",
      "--authorization-mode=RBAC",
      "--allow-privileged",
      `--client-ca-file=${file("ca.crt")}`,
      `--tls-cert-file=${file("apiserver.crt")}`,
      `--tls-private-key-file=${file("apiserver.key")}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${file("service-accounts.pub")}`,
      `--service-account-signing-key-file=${file("service-accounts.key")}`,
      ...flags,
    ],
    env: ENVIRONMENT,
    ready: (line) => line.includes("Serving securely on"),
    readyDeadlineMs: KUBERNETES_START_DEADLINE_MS,
  };
}

/** Ready when the garbage collector has seen every kind there is. It acts as the administrator: its roles are not what a test is about. */
export function controllerManagerProcess(place: KubernetesPlace, kubeconfigFile: string, flags: readonly string[]): ProcessOptions {
  const file = (name: string): string => join(place.folder.path, name);
  return {
    name: `kube-controller-manager of port ${place.port}`,
    command: join(place.bin, "kube-controller-manager"),
    args: [
      `--kubeconfig=${kubeconfigFile}`,
      "--leader-elect=false",
      "--secure-port=0",
      "--kube-api-qps=200",
      "--kube-api-burst=400",
      `--service-account-private-key-file=${file("service-accounts.key")}`,
      `--root-ca-file=${file("ca.crt")}`,
      ...flags,
    ],
    env: ENVIRONMENT,
    ready: (line) => line.includes("Proceeding to collect garbage"),
    readyDeadlineMs: KUBERNETES_START_DEADLINE_MS,
  };
}
