import type { Socket } from "node:dgram";
import { buildAnswer, parseQuestion } from "./cluster-dns-message.js";
import { isConditionTrue, isDeleting, isFinished, type Pod, type Service } from "./kubelet/objects.js";
import { matchesSelector } from "./kubelet/scheduling.js";

/** What the names of a cluster stand for, as last seen. */
export interface ClusterNames {
  services(): Iterable<Service>;
  pods(): Iterable<Pod>;
}

/**
 * Answers `<service>.<namespace>.svc[.cluster.local]` and `<host>.<service>.<namespace>.svc…` on `socket`: for a headless service the
 * addresses of its pods (of those that are ready, unless it publishes the others too), else of one ready pod, the same one as long as it is
 * ready: there is nothing here that forwards from a cluster address, so ports are the pods'. Anything else: no such name.
 */
export function serveClusterDns(socket: Socket, names: ClusterNames): void {
  socket.on("message", (message, from) => {
    const question = parseQuestion(message);
    if (question === undefined) return;
    socket.send(buildAnswer(question, resolveName(question.name, names)), from.port, from.address);
  });
}

const clusterName = /^(?:(?<host>[^.]+)\.)?(?<service>[^.]+)\.(?<namespace>[^.]+)\.svc(?:\.cluster\.local)?$/;

/** Undefined where a cluster's name server says that there is no such name: it does so for a headless service without addresses too. */
export function resolveName(name: string, { services, pods }: ClusterNames): readonly string[] | undefined {
  const { host, service: serviceName = "", namespace = "" } = clusterName.exec(name)?.groups ?? {};
  const service = [...services()].find(({ metadata }) => metadata.name === serviceName && metadata.namespace === namespace);
  if (service === undefined) return undefined;
  const backends = [...pods()].filter((pod) => isBackend(service, pod)).sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const chosen = backends.filter((pod) => host === undefined || isHost(pod, host, serviceName));
  const addresses = chosen.flatMap((pod) => pod.status?.podIP ?? []);
  const answer = service.spec?.clusterIP === "None" || host !== undefined ? addresses : addresses.slice(0, 1);
  return answer.length === 0 ? undefined : answer;
}

function isBackend(service: Service, pod: Pod): boolean {
  const selector = service.spec?.selector;
  if (selector === undefined || pod.metadata.namespace !== service.metadata.namespace || pod.status?.podIP === undefined) return false;
  if (isFinished(pod) || !matchesSelector({ matchLabels: selector }, pod.metadata.labels)) return false;
  return service.spec?.publishNotReadyAddresses === true || (isConditionTrue(pod, "Ready") && !isDeleting(pod));
}

function isHost(pod: Pod, host: string, service: string): boolean {
  if (pod.spec?.hostname === host && pod.spec.subdomain === service) return true;
  return pod.status?.podIP?.replaceAll(".", "-") === host;
}
