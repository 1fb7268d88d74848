/** What a person can do about it when the API server refuses a write, by what its message says; "" where the message says it all. */
export function whatHelps(message: string): string {
  return advices.find(([sign]) => sign.test(message))?.[1] ?? "";
}

const resourcesOfParts = "gateway.resources (router.resources, loadBalancer.haproxy.resources)";

/** The words are kube-apiserver's: admission plugins of k8s.io/apiserver and k8s.io/kubernetes/plugin/pkg/admission. */
const advices: readonly (readonly [RegExp, string])[] = [
  [/exceeded quota: /, "raise the ResourceQuota, or ask for fewer or smaller gateways"],
  [/failed quota: .*must specify /, `set ${resourcesOfParts}: the ResourceQuota counts what they name`],
  [
    /(maximum|minimum) .* usage per (Container|Pod) is |limit to request ratio per /,
    `change ${resourcesOfParts}, or the namespace's LimitRange`,
  ],
  [/Pod "[^"]*" is invalid: .*spec\.nodeSelector/, "correct nodeSelector in spec.pools"],
  [/Pod "[^"]*" is invalid: .*spec\.tolerations/, "correct tolerations in spec.pools"],
  [/Pod "[^"]*" is invalid: .*spec\.topologySpreadConstraints/, "correct topologySpreadConstraints in spec.pools"],
  [/Pod "[^"]*" is invalid: .*\.resources/, `correct ${resourcesOfParts}`],
  [/Service "[^"]*" is invalid: .*metadata\.annotations/, "correct loadBalancer.service.annotations"],
  [
    /violates PodSecurity/,
    "set tuning.unsafeSysctls of the pools to Tuner or None, or let the namespace admit such pods (label pod-security.kubernetes.io/enforce)",
  ],
  [/ValidatingAdmissionPolicy|admission webhook/, "ask who runs that policy, or change in the spec what it objects to"],
  [/because it is being terminated/, "the namespace is being deleted: nothing can be made in it"],
  [/ cannot (create|patch|update|delete) resource /, "give the operator's ServiceAccount that right (its ClusterRole lacks it)"],
];

/** The message with its advice. */
export function withAdvice(message: string): string {
  const advice = whatHelps(message);
  return advice === "" ? message : `${message}: ${advice}`;
}
