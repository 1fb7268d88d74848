import type { Pod } from "./observe-pod.js";

/** What this operator reads of a pod: nine tenths of it are the template it was made from. Thousands are kept. */
export function trimPod(pod: Pod): Pod {
  const { apiVersion, kind, metadata, spec, status } = pod;
  return {
    apiVersion,
    kind,
    metadata,
    ...(spec?.nodeName === undefined ? {} : { spec: { nodeName: spec.nodeName, containers: [] } }),
    ...(status === undefined ? {} : { status: trimStatus(status) }),
  };
}

function trimStatus(status: NonNullable<Pod["status"]>): NonNullable<Pod["status"]> {
  const { phase, reason, message, podIP, conditions, initContainerStatuses, containerStatuses } = status;
  return {
    ...(phase === undefined ? {} : { phase }),
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(podIP === undefined ? {} : { podIP }),
    ...(conditions === undefined ? {} : { conditions }),
    ...(initContainerStatuses === undefined ? {} : { initContainerStatuses: initContainerStatuses.map(trimContainer) }),
    ...(containerStatuses === undefined ? {} : { containerStatuses: containerStatuses.map(trimContainer) }),
  };
}

type ContainerStatus = NonNullable<NonNullable<Pod["status"]>["containerStatuses"]>[number];

function trimContainer({ name, ready, restartCount, state, lastState }: ContainerStatus): ContainerStatus {
  return {
    ...{ name, ready, restartCount, image: "", imageID: "" },
    ...(state === undefined ? {} : { state }),
    ...(lastState === undefined ? {} : { lastState }),
  };
}
