import { limits } from "@pushfleet/protocol";
import { secretFileMode } from "./pod-security.js";

/** What the containers of all parts have alike. */

/** Probes of a part's admin port. */
export function probes(port: number) {
  const get = (path: string) => ({ httpGet: { path, port, scheme: "HTTP" }, timeoutSeconds: limits.probeTimeoutSeconds });
  return {
    startupProbe: { ...get("/healthz"), periodSeconds: limits.startupProbeSeconds, failureThreshold: limits.startupProbesMax },
    readinessProbe: { ...get("/readyz"), periodSeconds: limits.readinessProbeSeconds, failureThreshold: 2 },
    livenessProbe: { ...get("/healthz"), periodSeconds: limits.livenessProbeSeconds, failureThreshold: limits.livenessProbesMax },
  };
}

/** Goes on serving until no balancer sends to the pod any more (the sleep action is GA in Kubernetes 1.34, beta and on since 1.30). */
export const sleepBeforeStop = { preStop: { sleep: { seconds: limits.preStopSeconds } } };

/** The one place a container may write to: its root is read-only. */
export const temporaryVolume = { name: "tmp", emptyDir: { sizeLimit: `${limits.temporaryFolderMiB}Mi` } };
export const temporaryMount = { name: "tmp", mountPath: "/tmp" };

/** A volume of a Secret; `items` renames entries. */
export function secretVolume(name: string, secretName: string, items?: readonly { readonly key: string; readonly path: string }[]) {
  return { name, secret: { secretName, defaultMode: secretFileMode, ...(items === undefined ? {} : { items }) } };
}

export const readOnlyMount = (name: string, mountPath: string) => ({ name, mountPath, readOnly: true });

export const fieldEnvironment = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } });

export const secretEnvironment = (name: string, secretName: string, key: string) => ({
  name,
  valueFrom: { secretKeyRef: { name: secretName, key } },
});

/** `resources` of a container; a spec without any leaves the field out. */
export function resourcesOf(resources: Resources | undefined): { readonly resources?: KubernetesResources } {
  if (resources === undefined) return {};
  const texts = (amounts: Resources["limits"]) =>
    Object.fromEntries(Object.entries(amounts ?? {}).map(([name, amount]) => [name, String(amount)]));
  return {
    resources: {
      ...(resources.limits === undefined ? {} : { limits: texts(resources.limits) }),
      ...(resources.requests === undefined ? {} : { requests: texts(resources.requests) }),
    },
  };
}

interface Resources {
  readonly limits?: Readonly<Record<string, number | string>>;
  readonly requests?: Readonly<Record<string, number | string>>;
}

interface KubernetesResources {
  readonly limits?: Readonly<Record<string, string>>;
  readonly requests?: Readonly<Record<string, string>>;
}
