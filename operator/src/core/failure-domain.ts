export interface DomainMember {
  readonly name: string;
  /** Absent: it stands alone. */
  readonly node?: string | undefined;
  readonly zone?: string | undefined;
  readonly connections: number;
}

export interface FailureDomain {
  /** `node worker-3`, `zone b`, `pod x`; empty for an empty fleet. */
  readonly name: string;
  readonly connections: number;
}

const zonesThatFailAlone = 3;

/** The node, or the zone where pods are in at least three, whose loss would send the most connections to the others. With one or two zones
 *  no fleet could pay for the loss of one. */
export function largestFailureDomain(members: readonly DomainMember[]): FailureDomain {
  const domains = new Map<string, number>();
  const zones = new Set(members.flatMap((member) => (member.zone === undefined ? [] : [member.zone])));
  for (const member of members) {
    add(domains, member.node === undefined ? `pod ${member.name}` : `node ${member.node}`, member.connections);
    if (member.zone !== undefined && zones.size >= zonesThatFailAlone) add(domains, `zone ${member.zone}`, member.connections);
  }
  let largest: FailureDomain = { name: "", connections: 0 };
  for (const [name, connections] of domains) if (connections > largest.connections) largest = { name, connections };
  return largest;
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}
