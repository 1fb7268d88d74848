import type { PushGatewayPoolTuning } from "../../generated/push-gateway.js";

/** Kubelet and kernel of a node, as its status gives them: "v1.34.4", "6.1.0-18-amd64". */
export interface NodeVersions {
  readonly kubeletVersion: string;
  readonly kernelVersion: string;
}

interface PodSysctl {
  /** How many numbers its value has. */
  readonly numbers: 1 | 2 | 3;
  readonly minimum: number;
  readonly maximum: number;
  /** From which kubelet and kernel on a pod may ask for it without any setting of the node. Absent: unsafe everywhere. */
  readonly safe?: { readonly kubelet: string; readonly kernel: string };
}

/** Sysctls that a network namespace has for itself. Source of `safe`: kubelet's pkg/kubelet/sysctl/safe_sysctls.go and the release notes of
 *  the versions that added them; the bounds are what the kernel takes and a gateway can use. */
const podSysctls: Readonly<Record<string, PodSysctl>> = {
  "net.ipv4.ip_local_port_range": { numbers: 2, minimum: 1024, maximum: 65_535, safe: { kubelet: "1.4", kernel: "0" } },
  "net.ipv4.tcp_syncookies": { numbers: 1, minimum: 0, maximum: 2, safe: { kubelet: "1.4", kernel: "0" } },
  "net.ipv4.tcp_keepalive_time": { numbers: 1, minimum: 1, maximum: 32_767, safe: { kubelet: "1.29", kernel: "4.5" } },
  "net.ipv4.tcp_keepalive_intvl": { numbers: 1, minimum: 1, maximum: 32_767, safe: { kubelet: "1.29", kernel: "4.5" } },
  "net.ipv4.tcp_keepalive_probes": { numbers: 1, minimum: 1, maximum: 127, safe: { kubelet: "1.29", kernel: "4.5" } },
  "net.ipv4.tcp_fin_timeout": { numbers: 1, minimum: 1, maximum: 300, safe: { kubelet: "1.29", kernel: "4.6" } },
  "net.ipv4.tcp_rmem": { numbers: 3, minimum: 4_096, maximum: 2_147_483_647, safe: { kubelet: "1.32", kernel: "4.15" } },
  "net.ipv4.tcp_wmem": { numbers: 3, minimum: 4_096, maximum: 2_147_483_647, safe: { kubelet: "1.32", kernel: "4.15" } },
  "net.core.somaxconn": { numbers: 1, minimum: 1, maximum: 65_535 },
  "net.ipv4.tcp_max_syn_backlog": { numbers: 1, minimum: 1, maximum: 4_194_304 },
  "net.ipv4.tcp_tw_reuse": { numbers: 1, minimum: 0, maximum: 2 },
  "net.ipv4.tcp_slow_start_after_idle": { numbers: 1, minimum: 0, maximum: 1 },
  "net.ipv4.tcp_notsent_lowat": { numbers: 1, minimum: 1, maximum: 2_147_483_647 },
};

/** Sysctls a node has once for all: no pod can ask for them, whatever its kubelet allows. */
const nodeSysctls: readonly string[] = [
  "net.core.netdev_max_backlog",
  "net.core.rmem_max",
  "net.core.wmem_max",
  "net.netfilter.nf_conntrack_max",
  "fs.file-max",
  "fs.nr_open",
];

const profiles: Readonly<Record<PushGatewayPoolTuning["profile"], Readonly<Record<string, string>>>> = {
  "websocket-500k": {
    "net.core.somaxconn": "65535",
    "net.ipv4.tcp_max_syn_backlog": "65535",
    "net.core.netdev_max_backlog": "65535",
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.tcp_fin_timeout": "15",
    "net.core.rmem_max": "16777216",
    "net.core.wmem_max": "16777216",
    "net.ipv4.tcp_rmem": "4096 12288 16777216",
    "net.ipv4.tcp_wmem": "4096 12288 16777216",
    "net.netfilter.nf_conntrack_max": "2000000",
  },
  None: {},
};

export interface Sysctl {
  readonly name: string;
  readonly value: string;
}

/** The profile's values with the spec's over them, by name. */
export function wantedSysctls({ profile, sysctls }: PushGatewayPoolTuning): readonly Sysctl[] {
  return Object.entries({ ...profiles[profile], ...sysctls })
    .map(([name, value]) => ({
      name,
      value: value
        .trim()
        .split(/[ \t]+/)
        .join(" "),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What is wrong with a sysctl of the spec, in words; `undefined`: nothing. Such a one is never written into a pod. */
export function sysctlFault({ name, value }: Sysctl): string | undefined {
  if (nodeSysctls.includes(name)) return undefined;
  const known = podSysctls[name];
  if (known === undefined) return `is not one of ${[...Object.keys(podSysctls), ...nodeSysctls].join(", ")}`;
  const numbers = value.split(" ").map(Number);
  if (numbers.length !== known.numbers) return `takes ${known.numbers} number${known.numbers === 1 ? "" : "s"}, not "${value}"`;
  if (!numbers.every((one) => one >= known.minimum && one <= known.maximum))
    return `takes ${known.minimum} to ${known.maximum}, not "${value}"`;
  const ascending = numbers.every((one, index) => index === 0 || one >= (numbers[index - 1] ?? 0));
  return ascending ? undefined : `takes ascending numbers, not "${value}"`;
}

/** Those of the wanted sysctls that a pod may ever ask for: the ones that can be safe, and with `unsafeSysctls: Pod` the unsafe ones too. */
export function templateSysctls(tuning: PushGatewayPoolTuning): readonly Sysctl[] {
  return wantedSysctls(tuning).filter((sysctl) => {
    const known = podSysctls[sysctl.name];
    if (known === undefined || sysctlFault(sysctl) !== undefined) return false;
    return known.safe !== undefined || tuning.unsafeSysctls === "Pod";
  });
}

/** Whether every one of `nodes` lets any pod have the sysctl. No known node: only what was always safe. */
export function isSafeOn(name: string, nodes: readonly NodeVersions[]): boolean {
  const safe = podSysctls[name]?.safe;
  if (safe === undefined) return false;
  const oldest: readonly NodeVersions[] = nodes.length > 0 ? nodes : [{ kubeletVersion: "1.4", kernelVersion: "0" }];
  return oldest.every((node) => isAtLeast(node.kubeletVersion, safe.kubelet) && isAtLeast(node.kernelVersion, safe.kernel));
}

/** Compares major and minor; a version that cannot be read is older than all. */
function isAtLeast(version: string, wanted: string): boolean {
  const [, major = "-1", minor = "0"] = /^v?(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) >= wantedMinor);
}
