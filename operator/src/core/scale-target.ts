import { headroomOf, headroomWanted } from "./headroom.js";
import { handshakeUtilisation, type ScalingInput } from "./scaling-input.js";
import { couldDoWithout, leastLoaded } from "./victim.js";

export interface ScalingDecision {
  readonly target: number;
  /** uid of the pod to lose now; the target is one less already. Absent with a lower target: a pod that never came is not missed. */
  readonly victim?: string | undefined;
  readonly shrinkableSinceMs?: number | undefined;
  readonly headroom: number;
  readonly headroomWanted: number;
  readonly kind: "grow" | "shrink" | "hold";
  /** It would grow, but `maxReplicas` forbids it. */
  readonly limited: boolean;
  /** Too few pods report to know: no pod is given up, whoever asks for it. */
  readonly blind: boolean;
  /** One sentence. */
  readonly why: string;
}

const reportingShare = 0.9;

/** DESIGN §7 "Autoscaling": how many pods a pool should have. Knows nothing of revisions, budgets or nodes that go. */
export function scaleTarget(input: ScalingInput): ScalingDecision {
  const wanted = headroomWanted({ ...input, podCapacity: input.newPodCapacity });
  const headroom = headroomOf(input.pods.filter((pod) => pod.accepting || pod.starting));
  const blind = input.reporting < reportingShare * input.expected;
  const hold = { target: input.target, headroom, headroomWanted: wanted.connections, kind: "hold", limited: false, blind } as const;
  if (blind) {
    return { ...hold, why: `only ${input.reporting} of ${input.expected} pods report: neither growing nor shrinking` };
  }
  const reason = reasonToGrow(input, wanted.connections, wanted.because);
  if (reason === undefined) return shrinkOrHold(input, hold);
  const target = Math.min(input.maxReplicas, Math.max(input.target, reason.target));
  const limited = target < reason.target;
  const why = limited ? `${reason.why}; maxReplicas ${input.maxReplicas} forbids ${reason.target}` : reason.why;
  return { ...hold, target, kind: target > input.target ? "grow" : "hold", limited, why };
}

interface GrowthReason {
  readonly target: number;
  readonly why: string;
}

/** The strongest of the three reasons; `undefined` when what there is, or is on its way, suffices. */
function reasonToGrow(input: ScalingInput, wanted: number, because: string): GrowthReason | undefined {
  const reasons = [forHeadroom(input, wanted, because), forHandshakes(input), forFullPods(input)].filter(
    (reason) => reason.target > input.target,
  );
  return reasons.reduce<GrowthReason | undefined>((best, one) => (best === undefined || one.target > best.target ? one : best), undefined);
}

/** Pods that were ordered count as soon as they are: those that start, and those of the target that do not exist yet. */
function forHeadroom(input: ScalingInput, wanted: number, because: string): GrowthReason {
  const missing = Math.max(0, input.target - input.pods.length);
  const now = headroomOf(input.pods.filter((pod) => pod.accepting || pod.starting));
  let headroom = now + missing * input.newPodCapacity;
  let demand = wanted;
  let more = 0;
  for (const pod of input.restorable) {
    if (headroom >= demand) break;
    headroom += Math.max(0, pod.capacity - pod.connections);
    demand -= pod.connections;
    more += 1;
  }
  if (headroom < demand) more += Math.ceil((demand - headroom) / Math.max(1, input.newPodCapacity));
  return {
    target: input.target + more,
    why: `room for ${Math.floor(now)} more connections is less than ${Math.ceil(wanted)} (${because})`,
  };
}

function forHandshakes(input: ScalingInput): GrowthReason {
  const each = handshakeUtilisation * input.podHandshakesPerSecond;
  const rate = Math.round(input.handshakesPerSecond);
  return {
    target: Math.ceil(rate / each),
    why: `${rate} handshakes/s are over ${handshakeUtilisation * 100} % of what ${input.target} pods accept`,
  };
}

/** A full pod keeps its clients when a new one comes: what helps is a roomy pod for each, that takes the next ones. */
function forFullPods(input: ScalingInput): GrowthReason {
  const full = input.pods.filter((pod) => pod.accepting && pod.connections > pod.slots);
  const roomy = input.pods.filter((pod) => (pod.accepting || pod.starting) && pod.connections <= pod.capacity / 2);
  const missing = Math.max(0, input.target - input.pods.length);
  const more = Math.max(0, full.length - roomy.length - missing);
  return { target: input.target + more, why: `${full[0]?.name ?? ""} is above 90 % of its hard limit and no pod is half empty` };
}

type Hold = Pick<ScalingDecision, "target" | "headroom" | "headroomWanted" | "kind" | "limited" | "blind">;

function shrinkOrHold(input: ScalingInput, hold: Hold): ScalingDecision {
  const room = `room for ${Math.floor(hold.headroom)} more connections, ${Math.ceil(hold.headroomWanted)} wanted`;
  if (input.target <= input.minReplicas) return { ...hold, why: `${room}; minReplicas ${input.minReplicas}` };
  if (input.unsettled !== undefined) return { ...hold, why: `${room}; not shrinking: ${input.unsettled}` };
  const victim = input.pods.length < input.target ? undefined : leastLoaded(input.pods.filter((pod) => pod.accepting || pod.starting));
  if (!couldDoWithout(input, victim)) return { ...hold, why: `${room}; all ${input.target} pods are needed` };
  const sinceMs = input.shrinkableSinceMs ?? input.nowMs;
  const leftMs = sinceMs + input.stabilizationMs - input.nowMs;
  if (leftMs > 0)
    return { ...hold, shrinkableSinceMs: sinceMs, why: `${room}; one pod fewer if that holds for ${Math.ceil(leftMs / 1000)} s more` };
  const target = input.target - 1;
  const why = `${target} pods have had room for all connections and the reserve for ${Math.round(input.stabilizationMs / 1000)} s`;
  return { ...hold, target, kind: "shrink", victim: victim?.uid, why };
}
