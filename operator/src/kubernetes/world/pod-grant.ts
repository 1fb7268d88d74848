import { grantAnnotation, type PodGrant, parseGrant } from "../../core/index.js";
import type { KubernetesObject } from "../api/types.js";

/** Each turn of a fleet asks of each of its pods, some of them several times; objects of the cache never change. */
const known = new WeakMap<KubernetesObject, { readonly grant: PodGrant | undefined }>();

/** The grant that is written on a pod; `undefined`: none, or none that can be read. */
export function grantOf(pod: KubernetesObject): PodGrant | undefined {
  const read = known.get(pod) ?? { grant: parseGrant(pod.metadata.annotations?.[grantAnnotation]) };
  known.set(pod, read);
  return read.grant;
}
