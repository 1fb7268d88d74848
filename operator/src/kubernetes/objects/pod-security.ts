import type { Sysctl } from "./sysctls.js";

/** User and group of the product's own images. A number: the kubelet cannot tell that a name is not root. */
export const unprivilegedId = 65_532;

/** `securityContext` of a pod that the restricted Pod Security Standard admits (with sysctls that are safe). */
export function restrictedPod(id: number, sysctls: readonly Sysctl[] = []) {
  return {
    runAsNonRoot: true,
    runAsUser: id,
    runAsGroup: id,
    fsGroup: id, // Secrets are mounted readable for the group only
    fsGroupChangePolicy: "OnRootMismatch",
    seccompProfile: { type: "RuntimeDefault" },
    ...(sysctls.length === 0 ? {} : { sysctls }),
  };
}

/** `securityContext` of each container in it. */
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
};

/** Mode of files from Secrets: owner and group read. */
export const secretFileMode = 0o440;
