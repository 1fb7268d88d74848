export {
  buildAddressSecret,
  buildConfigMap,
  buildResumeSecret,
  needsResumeSecret,
} from "./configuration-objects.js";
export type { Configuration } from "./configuration-parts.js";
export * from "./disruption-budgets.js";
export * from "./fleet.js";
export * from "./fleet-collisions.js";
export * from "./fleet-objects.js";
export * from "./fleet-problems.js";
export * from "./gateway-configuration.js";
export * from "./haproxy-configuration.js";
export * from "./haproxy-deployment.js";
export * from "./instantiate-pod.js";
export * from "./names.js";
export * from "./network-policies.js";
export * from "./other-budgets.js";
export * from "./paths.js";
export * from "./pod-references.js";
export * from "./pod-template.js";
export * from "./ports.js";
export * from "./recipes.js";
export * from "./revisions.js";
export * from "./router-configuration.js";
export * from "./router-deployment.js";
export * from "./service-accounts.js";
export * from "./services.js";
export * from "./stored-revision.js";
export { isSafeOn, type NodeVersions, type Sysctl, sysctlFault, templateSysctls, wantedSysctls } from "./sysctls.js";
