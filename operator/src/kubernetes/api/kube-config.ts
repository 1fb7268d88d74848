import type { KubeConfig } from "@kubernetes/client-node";

export interface KubeConfigPlace {
  /** A kubeconfig file; absent: `KUBECONFIG`, `~/.kube/config`, or the service account of the pod. */
  readonly file?: string;
  /** Absent: its current one. */
  readonly context?: string;
}

/** Where the API server is and who we are there. Rejects where a file cannot be read or names no such context. The library takes most of a
 *  second to load: only who connects to a cluster loads it. */
export async function loadKubeConfig({ file, context }: KubeConfigPlace = {}): Promise<KubeConfig> {
  const library = await import("@kubernetes/client-node");
  const kubeConfig = new library.KubeConfig();
  if (file === undefined) kubeConfig.loadFromDefault();
  else kubeConfig.loadFromFile(file);
  if (context !== undefined) kubeConfig.setCurrentContext(context);
  if (kubeConfig.getCurrentCluster() === null)
    throw new Error(`no cluster for context ${kubeConfig.getCurrentContext()} in the kubeconfig`);
  return kubeConfig;
}
