import { grantAnnotation, type PodGrant, parseGrant } from "../../core/index.js";
import type { KubernetesObject } from "../api/types.js";
import { oncePerObject } from "../once-per-object.js";

/** The grant that is written on a pod; `undefined`: none, or none that can be read. Each turn of a fleet asks of each pod, some several times. */
export const grantOf = oncePerObject((pod: KubernetesObject): PodGrant | undefined =>
  parseGrant(pod.metadata.annotations?.[grantAnnotation]),
);
