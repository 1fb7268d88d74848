/** What stands in for mount and network namespaces: a pod's texts say paths and addresses of its own machine, and run on ours. */
export interface Emulation {
  /** Mount path → where its content is here. */
  readonly mounts: ReadonlyMap<string, string>;
  readonly podIp: string;
  /** host:port of the cluster's name server. */
  readonly nameServer: string;
}

/** Replaces mount paths by where their content is, and addresses that mean "all of this pod" by the pod's. */
export function emulate(text: string, { mounts, podIp }: Emulation): string {
  return replacePaths(text, mounts).replace(/(?<![\d.])0\.0\.0\.0(?![\d.])|\[::\]/g, podIp);
}

/** For the content of a mounted ConfigMap's file: in an haproxy.cfg also what only HAProxy says in such words. */
export function emulateFile(name: string, text: string, emulation: Emulation): string {
  const emulated = emulate(text, emulation);
  if (!/^haproxy.*\.cfg$/.test(name)) return emulated;
  return emulated
    .replace(/^(\s*)parse-resolv-conf\b/gm, `$1nameserver cluster ${emulation.nameServer}`)
    .replace(/^(\s*bind\s+)(?:\*|::|ipv[46]@(?:\*|::)?)?:(?=\d)/gm, `$1${emulation.podIp}:`);
}

/** One pass, longest path first, so that a mount inside another one wins and what was put in is not looked at again. */
function replacePaths(text: string, mounts: ReadonlyMap<string, string>): string {
  if (mounts.size === 0) return text;
  const paths = [...mounts.keys()].sort((a, b) => b.length - a.length).map((path) => path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return text.replace(new RegExp(`(?<![\\w.-])(?:${paths.join("|")})(?![\\w.-])`, "g"), (path) => mounts.get(path) ?? path);
}

/** Kubernetes' `$(NAME)` in commands, args and env values; `$$(NAME)` stands for itself, an unknown name stays. */
export function expandVariables(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_][\w.-]*)\)/g, (whole, name?: string) => (name === undefined ? "$" : (variables[name] ?? whole)));
}
