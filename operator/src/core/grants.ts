import { type Context, referenceOf, type Wish } from "./context.js";
import { bearsMark, markOf } from "./fencing.js";
import type { PodView } from "./pod-view.js";
import { isSilent } from "./silence.js";
import type { Action, PodGrant } from "./types.js";

/** What has to be done so that a pod is told `wish`: first write it on the pod, then tell its gateway; nothing when both are so already. */
export function grantActions(context: Context, view: PodView, wish: Wish): readonly Action[] {
  const written = nextGrant(context, view, wish);
  const grant = written ?? view.pod.grant;
  const reference = referenceOf(view);
  const write: readonly Action[] = written === undefined ? [] : [{ kind: "writeGrant", ...reference, grant: written, why: wish.why }];
  const call = grant === undefined ? undefined : callNeeded(context, view, grant);
  return call === undefined || grant === undefined ? write : [...write, { kind: call, ...reference, grant, why: wish.why }];
}

/** For a pod that ends anyway: only this operator's mark, and what a silent one no longer uses. */
export function markActions(context: Context, view: PodView): readonly Action[] {
  const { grant } = view.pod;
  const silent = isSilent(context, view);
  const wish: Wish = {
    purpose: grant?.purpose ?? "serve",
    reason: grant?.reason ?? "none",
    reconnectsPerSecond: silent ? 0 : (grant?.reconnectsPerSecond ?? 0),
    deadlineMs: grant?.deadlineMs ?? 0,
    extensions: grant?.extensions ?? 0,
    why: "marked with this operator's epoch",
  };
  const written = nextGrant(context, view, wish);
  return written === undefined ? [] : [{ kind: "writeGrant", ...referenceOf(view), grant: written, why: wish.why }];
}

/** The grant to write, or `undefined` when the pod has it. A rate that is lowered stays in `heldPerSecond`: see budget.ts. */
function nextGrant(context: Context, view: PodView, wish: Wish): PodGrant | undefined {
  const current = view.pod.grant;
  const held = isSilent(context, view) ? 0 : (context.inUse.get(view.pod.uid) ?? 0);
  const heldPerSecond = held > wish.reconnectsPerSecond ? held : 0;
  if (current !== undefined && isSame(context, current, wish) && !(current.heldPerSecond > 0 && isSilent(context, view))) return undefined;
  return {
    purpose: wish.purpose,
    reconnectsPerSecond: wish.reconnectsPerSecond,
    heldPerSecond,
    deadlineMs: wish.deadlineMs,
    stragglerGraceMs: wish.purpose === "drain" ? context.spec.drain.stragglerGraceMs : 0,
    ...markOf(context.observed),
    serial: (current?.serial ?? 0) + 1,
    sinceMs: current?.purpose === wish.purpose ? current.sinceMs : context.nowMs,
    extensions: wish.extensions,
    reason: wish.reason,
  };
}

function isSame({ observed }: Context, current: PodGrant, wish: Wish): boolean {
  return (
    bearsMark(observed, current) &&
    current.purpose === wish.purpose &&
    current.reason === wish.reason &&
    current.reconnectsPerSecond === wish.reconnectsPerSecond &&
    current.deadlineMs === wish.deadlineMs &&
    current.extensions === wish.extensions
  );
}

type Call = "cordon" | "startDrain" | "renewDrain" | "uncordon" | "abortDrain";

/** Which call the gateway needs: it has not accepted this grant yet, it does something else (it restarted), or a drain has to be renewed. A
 *  silent gateway gets none: it must be able to pause. */
function callNeeded(context: Context, { pod }: PodView, grant: PodGrant): Call | undefined {
  const { accepted, report } = pod;
  if (report === undefined) return undefined;
  const known = accepted !== undefined && accepted.epoch === grant.epoch && accepted.serial === grant.serial ? accepted : undefined;
  if (grant.purpose === "serve") {
    const moves = report.state === "draining" || report.state === "drained";
    if (moves || (grant.heldPerSecond > 0 && known === undefined)) return "abortDrain";
    return report.state === "cordoned" ? "uncordon" : undefined;
  }
  if (grant.purpose === "cordon") return known === undefined || report.state === "serving" ? "cordon" : undefined;
  if (report.state === "serving" || report.state === "starting") return "startDrain";
  if (known === undefined) return report.state === "cordoned" ? "startDrain" : "renewDrain";
  return context.nowMs - known.renewedAtMs >= context.settings.renewMs && report.state !== "drained" ? "renewDrain" : undefined;
}
