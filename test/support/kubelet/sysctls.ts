import type { Node, Pod } from "./objects.js";

/** What kubelets let any pod have, and since which minor version (kubelet's pkg/kubelet/sysctl/safe_sysctls.go). */
const safeSince: Readonly<Record<string, number>> = {
  "kernel.shm_rmid_forced": 4,
  "net.ipv4.ip_local_port_range": 4,
  "net.ipv4.tcp_syncookies": 4,
  "net.ipv4.ping_group_range": 18,
  "net.ipv4.ip_unprivileged_port_start": 22,
  "net.ipv4.ip_local_reserved_ports": 27,
  "net.ipv4.tcp_keepalive_time": 29,
  "net.ipv4.tcp_keepalive_intvl": 29,
  "net.ipv4.tcp_keepalive_probes": 29,
  "net.ipv4.tcp_fin_timeout": 29,
  "net.ipv4.tcp_rmem": 32,
  "net.ipv4.tcp_wmem": 32,
};

/** The sysctl for which a node's kubelet ends the pod (Failed, SysctlForbidden), in its words; undefined when it takes all. */
export function forbiddenSysctl(pod: Pod, node: Node | undefined, allowedUnsafe: readonly string[] = []): string | undefined {
  const minor = Number(/^v1\.(\d+)/.exec(node?.status?.nodeInfo?.kubeletVersion ?? "")?.[1] ?? 0);
  const isAllowed = (name: string): boolean => allowedUnsafe.includes(name) || (safeSince[name] ?? Number.POSITIVE_INFINITY) <= minor;
  const forbidden = (pod.spec?.securityContext?.sysctls ?? []).find(({ name }) => !isAllowed(name));
  return forbidden && `Pod was rejected: forbidden sysctl: "${forbidden.name}" not allowlisted`;
}
