import { limits } from "@pushfleet/protocol";
import type { resources, Typed } from "./resources.js";
import type { KubernetesObject, Resource } from "./types.js";

type Sample<R> = R extends Resource<infer T> ? T : never;
export type Lease = Sample<typeof resources.leases>;

/** What candidates agree on. */
export interface LeaseRecord {
  /** "": nobody; it was released. */
  readonly holder: string;
  /** Changes of holder; a leader's epoch is one more. */
  readonly transitions: number;
  /** Wall clock of the holder; nobody compares it. */
  readonly acquiredAt: string | undefined;
  readonly renewedAt: string | undefined;
  readonly durationMs: number;
}

export function leaseRecord({ spec }: Lease): LeaseRecord {
  return {
    holder: spec?.holderIdentity ?? "",
    transitions: spec?.leaseTransitions ?? 0,
    acquiredAt: spec?.acquireTime,
    renewedAt: spec?.renewTime,
    durationMs: (spec?.leaseDurationSeconds ?? limits.leaderLeaseMs / 1000) * 1000,
  };
}

/** The Lease as `record` has it; `from` is what it was, and its resourceVersion the precondition. */
export function leaseObject(
  key: { readonly namespace: string; readonly name: string },
  record: LeaseRecord,
  from: Lease | undefined,
): Lease {
  const metadata = from?.metadata ?? key;
  const lease: Typed<KubernetesObject> & { readonly spec: NonNullable<Lease["spec"]> } = {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata,
    spec: {
      ...from?.spec,
      holderIdentity: record.holder,
      leaseTransitions: record.transitions,
      leaseDurationSeconds: Math.max(1, Math.round(record.durationMs / 1000)),
      ...(record.acquiredAt === undefined ? {} : { acquireTime: record.acquiredAt }),
      ...(record.renewedAt === undefined ? {} : { renewTime: record.renewedAt }),
    },
  };
  return lease;
}

/** MicroTime: RFC 3339 with six digits. */
export function microTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace("Z", "000Z");
}
