import type { Pod } from "./objects.js";

/** Where a pod runs. */
export interface PodPlace {
  readonly podIp: string;
  readonly hostIp: string;
  readonly nodeName: string;
}

/** What `fieldRef` stands for in env and downward volumes; "" where the object has no such label or annotation. */
export function fieldText(fieldPath: string, pod: Pod, place: PodPlace): string {
  const { metadata } = pod;
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? [];
  if (key !== undefined) return (map === "labels" ? metadata.labels : metadata.annotations)?.[key] ?? "";
  switch (fieldPath) {
    case "metadata.name":
      return metadata.name;
    case "metadata.namespace":
      return metadata.namespace ?? "";
    case "metadata.uid":
      return metadata.uid ?? "";
    case "metadata.labels":
      return mapText(metadata.labels);
    case "metadata.annotations":
      return mapText(metadata.annotations);
    case "spec.nodeName":
      return place.nodeName;
    case "spec.serviceAccountName":
      return pod.spec?.serviceAccountName ?? "";
    case "status.podIP":
    case "status.podIPs":
      return place.podIp;
    case "status.hostIP":
    case "status.hostIPs":
      return place.hostIp;
    default:
      throw new Error(`the test kubelet has no field ${fieldPath}`);
  }
}

const mapText = (map: Readonly<Record<string, string>> = {}): string =>
  Object.entries(map)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort()
    .join("\n");
