import { expect, test } from "vitest";
import type { Node, Pod } from "./objects.js";
import { planPlacement } from "./scheduling.js";

const node = (name: string, rest: Partial<Node["spec"] & object> = {}, labels: Record<string, string> = {}): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
  spec: rest,
});

const pod = (name: string, spec: Partial<NonNullable<Pod["spec"]>> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", labels: { app: "demo" } },
  spec: { containers: [], ...spec },
});

const gpu = { key: "gpu", value: "yes", effect: "NoSchedule" };
const spread = (whenUnsatisfiable: string) => ({
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable, labelSelector: { matchLabels: { app: "demo" } } }],
});
const ofDaemonSet = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["a"] }] }],
    },
  },
};
const required = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "disk", operator: "In", values: ["ssd"] }] }],
    },
  },
};

test.each<[string, Pod, readonly Node[], string]>([
  ["a node without pods", pod("new"), [node("a"), node("b")], "b"],
  ["a node of its selector", pod("new", { nodeSelector: { disk: "ssd" } }), [node("a"), node("b", {}, { disk: "ssd" })], "b"],
  ["a node of its affinity", pod("new", { affinity: required }), [node("a", {}, { disk: "ssd" }), node("b")], "a"],
  ["the node that its DaemonSet names", pod("new", { affinity: ofDaemonSet }), [node("a"), node("b")], "a"],
  ["no cordoned node", pod("new"), [node("a"), node("b", { unschedulable: true })], "a"],
  ["a node whose taint it tolerates", pod("new", { tolerations: [gpu] }), [node("a"), node("b", { taints: [gpu] })], "b"],
  [
    "the zone with fewer of its like",
    pod("new", spread("ScheduleAnyway")),
    [node("a", {}, { zone: "1" }), node("b", {}, { zone: "2" })],
    "b",
  ],
])("a pod gets %s", (_, wanting, nodes, expected) => {
  expect(planPlacement(wanting, nodes, [pod("there", { nodeName: "a" })])).toEqual({ kind: "node", name: expected });
});

test.each<[string, Pod, readonly Node[], string]>([
  ["are cordoned", pod("new"), [node("a", { unschedulable: true })], "1 node(s) were unschedulable"],
  ["are tainted", pod("new"), [node("a", { taints: [gpu] })], "1 node(s) had untolerated taint {gpu: yes}"],
  ["are others", pod("new", { nodeSelector: { x: "y" } }), [node("a")], "1 node(s) didn't match Pod's node affinity/selector"],
  ["are not there", pod("new"), [], "there are none"],
])("the answer says when the nodes %s", (_, wanting, nodes, why) => {
  const message = `0/${nodes.length} nodes are available: ${why}.`;
  expect(planPlacement(wanting, nodes, [])).toEqual({ kind: "unschedulable", message });
});

test("a strict spread leaves a pod without a node rather than skewed", () => {
  const nodes = [node("a", {}, { zone: "1" }), node("b", { unschedulable: true }, { zone: "2" }), node("c", {}, { zone: "3" })];
  const there = [pod("1", { nodeName: "a" }), pod("2", { nodeName: "a" })];
  expect(planPlacement(pod("new", spread("DoNotSchedule")), nodes, there)).toEqual({ kind: "node", name: "c" });
  expect(planPlacement(pod("new", spread("DoNotSchedule")), nodes.slice(0, 2), there)).toEqual({ kind: "node", name: "a" });
});
