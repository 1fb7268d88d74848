import { existsSync } from "node:fs";
import { KubeConfig } from "@kubernetes/client-node";

const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** How to reach the API server: a named file, this pod's service account, or what kubectl would use. Throws with what would be right. */
export function loadKubeConfig(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (file !== undefined) config.loadFromFile(file);
  else if (existsSync(serviceAccountToken)) config.loadFromCluster();
  else config.loadFromDefault();
  // Without TLS (`kubectl proxy`) there is nothing to verify: the library refuses every request that does not say so.
  config.clusters = config.clusters.map((one) => (one.server.startsWith("http:") ? { ...one, skipTLSVerify: true } : one));
  const cluster = config.getCurrentCluster();
  // What the library makes up where it finds nothing.
  if (cluster === null || (file === undefined && cluster.server === "http://localhost:8080")) {
    throw new Error(
      "kubeconfig: no cluster to connect to; name a kubeconfig file with a current-context, or run in a pod with a service account",
    );
  }
  return config;
}
