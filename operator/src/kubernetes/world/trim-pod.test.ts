import { expect, test } from "vitest";
import { observePod, type Pod, podFault } from "./observe-pod.js";
import { trimPod } from "./trim-pod.js";

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "demo-default-2-1a2b3c4d",
    uid: "u1",
    resourceVersion: "7",
    labels: { "pushfleet.dev/pool": "default", "pushfleet.dev/slot": "2", "pushfleet.dev/revision": "1a2b3c4d" },
    creationTimestamp: "2026-01-01T00:00:00Z",
  },
  spec: { nodeName: "n1", containers: [{ name: "gateway", image: "a-long-template" }], volumes: [{ name: "tls" }] },
  status: {
    phase: "Running",
    podIP: "10.0.0.1",
    qosClass: "Guaranteed",
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: [
      {
        ...{ name: "gateway", image: "a-long-template", imageID: "sha256:1", containerID: "x://1", ready: false, restartCount: 2 },
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off" } },
        lastState: { terminated: { exitCode: 1 } },
      },
    ],
  },
} as unknown as Pod;

test("a pod that is kept says the same of itself as the whole one, without its template", () => {
  const kept = trimPod(pod);
  expect(observePod(kept, {}, () => undefined)).toEqual(observePod(pod, {}, () => undefined));
  expect(podFault(kept)).toBe(podFault(pod));
  expect(kept.metadata).toBe(pod.metadata);
  expect(kept.status?.podIP).toBe("10.0.0.1");
  expect(JSON.stringify(kept)).not.toMatch(/a-long-template|volumes|containerID/);
});

test("one that has neither node nor status stays so", () => {
  const { spec: _, status: __, ...bare } = pod;
  expect(trimPod(bare as Pod)).toEqual(bare);
});
