import { describe, expect, test } from "vitest";
import { type Node, observePod, type Pod, type PodKnowledge, podFault, whyLeaving } from "./observe-pod.js";

const labels = { "pushfleet.dev/pool": "default", "pushfleet.dev/slot": "2", "pushfleet.dev/revision": "1a2b3c4d" };

function pod(change: Omit<Partial<Pod>, "metadata"> & { readonly metadata?: Partial<Pod["metadata"]> } = {}): Pod {
  const { metadata, ...rest } = change;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "demo-default-2-1a2b3c4d",
      uid: "u1",
      resourceVersion: "7",
      labels,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...metadata,
    },
    ...rest,
  } as Pod;
}

const node = (spec: Node["spec"]): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  ...(spec === undefined ? {} : { spec }),
});
const gate = (reason: string) => ({ type: "pushfleet.dev/accepting", status: "False", reason });
const noNode = () => undefined;
const report: PodKnowledge["report"] = {
  ...{
    state: "serving",
    connections: 7,
    effectiveMaxConnections: 1000,
    handshakes: 7,
    resumed: 0,
    reconnectsSent: 0,
    remaining: 7,
    epoch: 1,
  },
};
const killed = { name: "gateway", ready: false, restartCount: 0, state: { terminated: { exitCode: 137, reason: "OOMKilled" } } };
const preempted = { type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler", message: "for another" };

describe("a pod as the planner sees it", () => {
  test("has its place from its labels and its version from the object", () => {
    expect(observePod(pod(), {}, noNode)).toMatchObject({
      pool: "default",
      slot: 2,
      revision: "1a2b3c4d",
      version: "7",
      createdAtMs: 1767225600000,
    });
  });

  test.each([
    ["without", {}],
    ["with another's", { "pushfleet.dev/pool": "other", "pushfleet.dev/slot": "7", "pushfleet.dev/revision": "ffffffff" }],
  ])("that the fleet owns has its place from its name, %s labels: nobody edits a name", (_, edited) => {
    const ownerReferences = [{ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", name: "demo", uid: "f", controller: true }];
    const observed = observePod(pod({ metadata: { labels: edited, ownerReferences } }), {}, noNode);
    expect(observed).toMatchObject({ pool: "default", slot: 2, revision: "1a2b3c4d" });
  });

  test.each([["pool"], ["slot"], ["revision"]])("is none of the fleet's without the label %s", (missing) => {
    const rest = Object.fromEntries(Object.entries(labels).filter(([name]) => name !== `pushfleet.dev/${missing}`));
    expect(observePod(pod({ metadata: { labels: rest } }), {}, noNode)).toBeUndefined();
  });

  test.each([
    [{ phase: "Pending" }, "pending"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 1, state: { running: {} } }] }, "pending"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 1, state: { running: {} } }], conditions: [gate("Starting")] }, "pending"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 1, state: { running: {} }, ready: true }] }, "running"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 1, state: { running: {} } }], conditions: [gate("NotServing")] }, "running"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 1 }], conditions: [gate("NotServing")] }, "running"],
    [{ phase: "Running" }, "running"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 3, state: { waiting: { reason: "CrashLoopBackOff" } } }] }, "pending"],
    [{ phase: "Running", containerStatuses: [{ restartCount: 0, state: { terminated: { exitCode: 1 } } }] }, "pending"],
    [{ phase: "Unknown", containerStatuses: [{ restartCount: 0, state: { running: {} } }] }, "running"],
    [{ phase: "Failed" }, "gone"],
    [{ phase: "Succeeded" }, "gone"],
    [undefined, "pending"],
  ])("in status %j is %s", (status, phase) => {
    expect(observePod(pod({ status } as Partial<Pod>), {}, noNode)?.phase).toBe(phase);
  });

  test.each([
    [undefined, false],
    [{ conditions: [gate("Starting")] }, false],
    [{ conditions: [gate("NotServing")] }, true],
    [{ conditions: [{ ...gate("Serving"), status: "True" }] }, true],
  ])("with %j tells whether clients were ever let in: %s", (status, hasAccepted) => {
    expect(observePod(pod({ status } as Partial<Pod>), {}, noNode)?.hasAccepted).toBe(hasAccepted);
  });

  const since = (type: string, lastTransitionTime: string | undefined, status = "True") => ({ type, status, lastTransitionTime });
  const [early, late] = ["2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"];
  test.each([
    [[since("Ready", early), since("pushfleet.dev/accepting", late)], late],
    [[since("Ready", late), since("pushfleet.dev/accepting", early)], late],
    [[since("Ready", late)], undefined],
    [[since("Ready", late, "False"), since("pushfleet.dev/accepting", early)], undefined],
    [[since("Ready", undefined), since("pushfleet.dev/accepting", early)], undefined],
  ])("with %j tells since when it is ready: %s", (conditions, expected) => {
    const readySinceMs = expected === undefined ? undefined : Date.parse(expected);
    expect(observePod(pod({ status: { conditions } } as Partial<Pod>), {}, noNode)?.readySinceMs).toBe(readySinceMs);
  });

  test("is gone when its node's object is", () => {
    const running = { spec: { nodeName: "n1" }, status: { phase: "Running" } } as Partial<Pod>;
    expect(observePod(pod(running), {}, () => "deleted")?.phase).toBe("gone");
    expect(observePod(pod(running), {}, noNode)?.phase).toBe("running");
  });

  // The watch of the nodes may be behind that of the pods: a new node is not seen yet.
  test.each<[string, Pick<Pod, "status">, PodKnowledge]>([
    ["while its gateway reports", { status: { phase: "Running" } }, { report }],
    ["while its gateway may not have been heard yet", { status: { phase: "Running" } }, { isAwaited: true }],
    ["before it has begun", { status: { phase: "Pending" } }, {}],
  ])("is not gone %s, though no such node is seen", (_when, { status }, known) => {
    const one = observePod(pod({ spec: { nodeName: "n1" }, status } as Partial<Pod>), known, () => "deleted");
    expect(one?.phase).toBe(status?.phase?.toLowerCase());
    expect(one).not.toHaveProperty("isAwaited");
    expect(one?.ended).toBeUndefined();
  });

  test.each([
    [{ phase: "Failed", reason: "Evicted", message: "low on memory", containerStatuses: [killed] }, undefined, "Evicted (low on memory)"],
    [{ phase: "Failed", conditions: [preempted], containerStatuses: [killed] }, undefined, "PreemptionByScheduler (for another)"],
    [{ phase: "Failed", containerStatuses: [killed] }, undefined, "container gateway failed (exit code 137 OOMKilled)"],
    [{ phase: "Failed" }, undefined, "Failed (its containers ended)"],
    [{ phase: "Succeeded" }, undefined, "Succeeded"],
    [{ phase: "Running" }, "deleted" as const, "its node n1 is gone"],
    [{ phase: "Running" }, undefined, undefined],
  ])("with %j on a node that is %s says how it ended: %s", (status, seen, told) => {
    const one = pod({ spec: { nodeName: "n1" }, status } as unknown as Partial<Pod>);
    expect(observePod(one, {}, () => seen)?.ended).toBe(told);
  });

  test("a grant that somebody edited into nonsense is none", () => {
    expect(observePod(pod({ metadata: { annotations: { "pushfleet.dev/grant": "{oops" } } }), {}, noNode)?.grant).toBeUndefined();
  });
});

test.each([
  [{ unschedulable: true }, "node n1 is unschedulable"],
  [{ taints: [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }] }, "node n1 has the taint ToBeDeletedByClusterAutoscaler"],
  [{ taints: [{ key: "dedicated", effect: "NoSchedule" }] }, undefined],
  [{ taints: [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute" }] }, "node n1 has the taint node.kubernetes.io/unreachable"],
  // After an outage of the control plane every node has it for a moment.
  [{ taints: [{ key: "node.kubernetes.io/unreachable", effect: "NoSchedule" }] }, undefined],
  [undefined, undefined],
])("a node with %j: %s", (spec, why) => {
  expect(whyLeaving(node(spec))).toBe(why);
});

test.each([
  [
    { containerStatuses: [{ name: "gateway", state: { waiting: { reason: "ErrImagePull", message: "no such image" } } }] },
    "ErrImagePull (no such image)",
  ],
  [
    {
      containerStatuses: [
        {
          name: "gateway",
          state: { waiting: { reason: "CrashLoopBackOff" } },
          lastState: { terminated: { exitCode: 2, reason: "Error" } },
        },
      ],
    },
    "CrashLoopBackOff (exit code 2 Error)",
  ],
  [{ conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes" }] }, "Unschedulable (0/3 nodes)"],
  [{ phase: "Failed", reason: "SysctlForbidden", message: "forbidden sysctl" }, "SysctlForbidden (forbidden sysctl)"],
  [{ phase: "Failed", reason: "Evicted", message: "low on memory", containerStatuses: [killed] }, "Evicted (low on memory)"],
])("what keeps a pod in status %j from running is told", (status, told) => {
  expect(podFault(pod({ status } as unknown as Partial<Pod>))).toContain(told);
});

test.each([
  ["between its restarts", { state: { running: {} }, ready: false }, "container gateway failed (exit code 1 Error: no Redis)"],
  ["once it is ready", { state: { running: {} }, ready: true }, undefined],
  ["when it ended as it should", { state: { terminated: { exitCode: 0, reason: "Completed" } }, ready: false }, undefined],
])("how a container ended is told %s", (_when, now, told) => {
  const lastState = { terminated: { exitCode: 1, reason: "Error", message: "starting\nno Redis\n" } };
  const fault = podFault(pod({ status: { containerStatuses: [{ name: "gateway", lastState, ...now }] } } as unknown as Partial<Pod>));
  expect(fault).toBe(told === undefined ? undefined : `demo-default-2-1a2b3c4d: ${told}`);
});

test.each([
  ["told while it ends", { deletionTimestamp: "2026-01-01T00:00:00Z" }, [preempted], "PreemptionByScheduler (for another)"],
  ["not told of one that nobody deleted after all", {}, [preempted], undefined],
  ["not told once it was taken back", { deletionTimestamp: "2026-01-01T00:00:00Z" }, [{ ...preempted, status: "False" }], undefined],
])("who takes a pod away is %s", (_when, metadata, conditions, told) => {
  const fault = podFault(pod({ metadata, status: { phase: "Running", conditions } } as unknown as Partial<Pod>));
  expect(fault).toBe(told === undefined ? undefined : `demo-default-2-1a2b3c4d: ${told}`);
});

test("a pod whose address is an IPv6 one is told to be out of everybody's reach, whatever its probes made of it", () => {
  const killed = { name: "gateway", ready: false, restartCount: 3, lastState: { terminated: { exitCode: 137, reason: "Error" } } };
  const fault = (podIP: string) =>
    podFault(pod({ status: { phase: "Running", podIP, containerStatuses: [killed] } } as unknown as Partial<Pod>));
  expect(fault("fd00::17")).toMatch(/its address fd00::17 is an IPv6 one, .* listens on IPv4 only: .* first address is an IPv4 one$/);
  expect(fault("10.0.0.17")).toContain("container gateway failed (exit code 137 Error)");
});

test("last words in a record of ours are told as a sentence", () => {
  const message = JSON.stringify({ level: "error", msg: "start failed", err: { message: "no Redis at redis:6379", stack: "…" } });
  const lastState = { terminated: { exitCode: 1, reason: "Error", message } };
  const status = { containerStatuses: [{ name: "gateway", lastState, state: { waiting: { reason: "CrashLoopBackOff" } } }] };
  const told = "container gateway CrashLoopBackOff (exit code 1 Error: start failed: no Redis at redis:6379)";
  expect(podFault(pod({ status } as unknown as Partial<Pod>))).toBe(`demo-default-2-1a2b3c4d: ${told}`);
});

test("a container that is being created is no fault", () => {
  const status = { containerStatuses: [{ name: "gateway", state: { waiting: { reason: "ContainerCreating" } } }] };
  expect(podFault(pod({ status } as unknown as Partial<Pod>))).toBeUndefined();
});
