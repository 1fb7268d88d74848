import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Fault } from "@pushfleet/protocol";
import { fileFaults, Port, type Refinement, Strict } from "@pushfleet/service";
import { type Static, Type } from "@sinclair/typebox";
import { kubeconfigFaults } from "./kubeconfig-faults.js";

const Name = (description: string, defaultName?: string) =>
  Type.String({
    pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    maxLength: 63,
    expected: description,
    ...(defaultName === undefined ? {} : { default: defaultName }),
  });
const Seconds = (seconds: number) => Type.Number({ minimum: 0.5, maximum: 3600, default: seconds });
const Image = (image: string) =>
  Type.String({ pattern: "^[!-~]{1,512}$", expected: "a container image: 1 to 512 characters without spaces", default: image });

/** operator.yaml. In a cluster only `images` need be given; the chart does. */
export const operatorSchema = Strict({
  /** A kubeconfig file. Absent: the pod's service account, or, outside of a cluster, what kubectl uses. */
  kubeconfig: Type.Optional(Type.String({ minLength: 1 })),
  /** Of this process among its replicas: the pod's name. */
  id: Type.String({ minLength: 1, maxLength: 253, default: hostname() }),
  /** Where the operator itself runs: its Lease, and the source that NetworkPolicies let in. */
  namespace: Name("a namespace", "pushfleet-system"),
  /** Namespaces whose fleets it runs. Empty: all. */
  watchNamespaces: Type.Array(Name("a namespace"), { default: [], maxItems: 100 }),
  /** Times as client-go's: after `duration` without a renewal another replica leads; a leader that could not renew for `renewDeadline` stops. */
  lease: Strict(
    {
      name: Name("a name for the Lease", "pushfleet-operator"),
      durationSeconds: Seconds(15),
      renewDeadlineSeconds: Seconds(10),
      retryPeriodSeconds: Type.Number({ minimum: 0.1, maximum: 60, default: 2 }),
    },
    { default: {} },
  ),
  /** Its Deployment: when that is being deleted, the operator gives fleets free before it stops, so that none is left that nobody can delete. */
  deployment: Type.Optional(Name("the name of the operator's Deployment")),
  /** What this release runs where a PushGateway names no image. */
  images: Strict(
    {
      gateway: Image("pushfleet/gateway:0.1.0"),
      router: Image("pushfleet/router:0.1.0"),
      haproxy: Image("haproxy:3.0"),
    },
    { default: {} },
  ),
  admin: Strict({ host: Type.String({ minLength: 1, default: "127.0.0.1" }), port: Port({ default: 9093 }) }, { default: {} }),
});

export type OperatorConfig = Static<typeof operatorSchema>;

export const operatorRefinements: readonly Refinement<OperatorConfig>[] = [
  { path: "watchNamespaces", faults: namespaceFaults },
  { path: "lease", faults: leaseFaults },
  { path: "kubeconfig", faults: ({ kubeconfig }) => (kubeconfig === undefined ? [] : faultsOfFile(kubeconfig)) },
];

function faultsOfFile(kubeconfig: string): readonly Fault[] {
  const unreadable = fileFaults({ kubeconfig });
  return unreadable.length > 0 ? unreadable : kubeconfigFaults(kubeconfig, readFileSync(kubeconfig, "utf8"));
}

function namespaceFaults({ watchNamespaces }: OperatorConfig): readonly Fault[] {
  const twice = watchNamespaces.find((name, index) => watchNamespaces.indexOf(name) !== index);
  return twice === undefined ? [] : [{ path: "watchNamespaces", value: twice, expected: "each namespace once" }];
}

/** No request may take longer than from the renew deadline to the Lease's end; with less than this none would be answered in time. */
const leastWriteMs = 1_000;

/** A leader must have stopped, and its last write be over, before another one leads. */
function leaseFaults({ lease }: OperatorConfig): readonly Fault[] {
  const { durationSeconds, renewDeadlineSeconds, retryPeriodSeconds } = lease;
  if (renewDeadlineSeconds >= durationSeconds) {
    const expected = `less than lease.durationSeconds (${durationSeconds})`;
    return [{ path: "lease.renewDeadlineSeconds", value: renewDeadlineSeconds, expected }];
  }
  if (Math.round((durationSeconds - renewDeadlineSeconds) * 1000) < leastWriteMs) {
    const expected = `${leastWriteMs / 1000} less than lease.durationSeconds (${durationSeconds}) at least: in between the last writes of a leader end`;
    return [{ path: "lease.renewDeadlineSeconds", value: renewDeadlineSeconds, expected }];
  }
  if (retryPeriodSeconds * 1.2 < renewDeadlineSeconds) return [];
  const expected = `less than lease.renewDeadlineSeconds (${renewDeadlineSeconds}) / 1.2`;
  return [{ path: "lease.retryPeriodSeconds", value: retryPeriodSeconds, expected }];
}
