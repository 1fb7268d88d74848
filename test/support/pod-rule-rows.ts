import { type Given, joinRows, type ManifestRows } from "./manifest-rows.js";
import { good, rule } from "./rule-rows.js";

/** What Kubernetes refuses in a Pod or a Service, and the API therefore in a PushGateway: the operator would find out when it makes one.
 *  Source: k8s.io/kubernetes, pkg/apis/core/validation (ValidateLabels, ValidateTolerations, validateTopologySpreadConstraints,
 *  validateResourceRequirements, ValidateAnnotations). */

const domain = (length: number): string => "a".repeat(length);

/** Texts that are no label keys, and such that are. */
const notKeys = ["", "-a", "a-", "a b", "a/b/c", "/a", "a/", "Example.com/a", "a..b/c", "a".repeat(64), `${domain(254)}/a`];
const keys = ["a", "A_b.c-9", "a".repeat(63), "node-role.kubernetes.io/control-plane", `${domain(253)}/${"a".repeat(63)}`];
/** The same of values. */
const notValues = ["-", "a-", "_a", "a b", "a/b", "ä"];
const values = ["", "a", "A_b.c-9", "a".repeat(63)];

const selector = "spec.pools[0].nodeSelector";
const selecting = (nodeSelector: object): Given => ({ "spec.pools[0]": { name: "default", nodeSelector } });

const nodeSelectorRules = joinRows(
  ...notKeys.map((key) => rule(selector, selector, "a key of nodeSelector must be a label key", selecting({ a: "b", [key]: "" }))),
  ...notValues.map((value) => rule(selector, selector, "a value of nodeSelector must be a label value", selecting({ a: "b", c: value }))),
  good("spec.pools[0]", { name: "default", nodeSelector: Object.fromEntries(keys.map((key) => [key, "b"])) }),
  ...values.map((value) => good("spec.pools[0]", { name: "default", nodeSelector: { a: value } })),
);

const toleration = "spec.pools[0].tolerations[0]";

/** The second toleration breaks the rule with this message. */
function tolerating(field: string, message: string, given: object): ManifestRows {
  const tolerations = [{ operator: "Exists" }, given];
  return rule(toleration, `spec.pools[0].tolerations[1].${field}`, message, { "spec.pools[0]": { name: "default", tolerations } });
}

const noExecuteOnly = "tolerationSeconds is read with effect NoExecute only";

const tolerationRules = joinRows(
  ...notKeys
    .filter((key) => key !== "" && key.length <= 317)
    .map((key) => tolerating("key", "the key of a toleration must be that of a taint", { key, operator: "Exists" })),
  ...[{}, { key: "" }, { value: "a" }, { operator: "Equal" }, { key: "", operator: "Equal", value: "a" }, { effect: "NoExecute" }].map(
    (given) => tolerating("operator", "a toleration without a key is for all taints: set operator to Exists", given),
  ),
  tolerating("value", "operator Exists looks at no value: remove value", { key: "a", operator: "Exists", value: "b" }),
  tolerating("value", "operator Exists looks at no value: remove value", { operator: "Exists", value: "b" }),
  ...notValues.map((value) => tolerating("value", "the value of a toleration must be that of a taint", { key: "a", value })),
  ...[{}, { effect: "NoSchedule" }, { effect: "PreferNoSchedule" }].map((given) =>
    tolerating("tolerationSeconds", noExecuteOnly, { key: "a", operator: "Exists", tolerationSeconds: 0, ...given }),
  ),
  good("spec.pools[0]", {
    name: "default",
    tolerations: [
      ...keys.slice(0, 4).map((key) => ({ key })),
      { key: keys[4], operator: "Exists", value: "" },
      ...values.map((value) => ({ key: "a", operator: "Equal", value, effect: "NoSchedule" })),
      { operator: "Exists", effect: "NoExecute", tolerationSeconds: 0 },
      { key: "", operator: "Exists" },
    ],
  }),
);

const constraint = "spec.pools[0].topologySpreadConstraints[0]";
const zone = { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" };

/** The second constraint breaks the rule with this message. */
function spreading(field: string, message: string, given: object): ManifestRows {
  const topologySpreadConstraints = [zone, { ...zone, topologyKey: "rack", ...given }];
  const path = `spec.pools[0].topologySpreadConstraints[1].${field}`;
  return rule(constraint, path, message, { "spec.pools[0]": { name: "default", topologySpreadConstraints } });
}

const spreadRules = joinRows(
  ...notKeys
    .filter((key) => key !== "" && key.length <= 317)
    .map((topologyKey) => spreading("topologyKey", "topologyKey must be the key of a node label", { topologyKey })),
  spreading("minDomains", "minDomains is read with whenUnsatisfiable DoNotSchedule only", { minDomains: 1 }),
  good("spec.pools[0]", {
    name: "default",
    topologySpreadConstraints: [zone, { ...zone, whenUnsatisfiable: "DoNotSchedule", minDomains: 1 }, { ...zone, topologyKey: keys[4] }],
  }),
);

const resourceNames = "a resource must be cpu, memory, ephemeral-storage, hugepages-<size>, or one with a domain before it";
const requestsWithin = "a request must be at most the limit of the same resource";

const notResources = [
  "disk",
  "hugepages-big",
  "example.com/",
  "requests.example.com/device",
  "Example.com/device",
  `${domain(245)}/device`,
];
const tooMuch = [
  { limits: { cpu: 1 }, requests: { cpu: 2 } },
  { limits: { cpu: 1 }, requests: { cpu: "1001m" } },
  { limits: { memory: "1Gi" }, requests: { memory: "11e8" } },
  { limits: { cpu: 4, memory: "1G" }, requests: { cpu: 4, memory: "1Gi" } },
];

function containerRules(at: string, given: Given = {}): ManifestRows {
  return joinRows(
    ...["limits", "requests"].flatMap((field) =>
      notResources.map((name) =>
        rule(`${at}.${field}`, `${at}.${field}`, resourceNames, { [`${at}.${field}`]: { cpu: 1, [name]: 1 }, ...given }),
      ),
    ),
    ...tooMuch.map((resources) => rule(at, `${at}.requests`, requestsWithin, { [at]: resources, ...given })),
  );
}

const resourceRules = joinRows(
  containerRules("spec.gateway.resources"),
  containerRules("spec.router.resources"),
  containerRules("spec.loadBalancer.haproxy.resources", { "spec.loadBalancer": { kind: "HAProxy" } }),
  good("spec.gateway.resources", {
    limits: { cpu: "300m", memory: "1Gi", "ephemeral-storage": "1G", "hugepages-2Mi": "4Mi", "example.com/device": 1 },
    requests: { cpu: "0.3", memory: 2 ** 30, "ephemeral-storage": "1000M", "hugepages-2Mi": "4Mi", "example.com/device": 1 },
  }),
  good("spec.gateway.resources", { requests: { cpu: 4 }, limits: { memory: "1Gi" } }),
);

const annotations = "spec.loadBalancer.service.annotations";

const annotationRules = joinRows(
  ...notKeys
    .filter((key) => key.toLowerCase() === key)
    .map((key) =>
      rule(annotations, annotations, "the key of an annotation must be at most 63 letters", { [annotations]: { a: "b", [key]: "on" } }),
    ),
  good(annotations, Object.fromEntries([...keys, "Example.com/Internal"].map((key) => [key, "any text: {}"]))),
);

export const podRules: ManifestRows = joinRows(nodeSelectorRules, tolerationRules, spreadRules, resourceRules, annotationRules);
