import { limits } from "@pushfleet/protocol";
import type { PlannerSettings } from "./types.js";

export const defaultSettings: PlannerSettings = {
  timeToReadyMs: 180_000,
  arrivalHalfLifeMs: 20_000,
  settleMs: limits.drainCordonMs,
  releaseMs: limits.drainWindowMs,
  renewMs: limits.grantRenewMs / 3,
  forcedPauseMaxMs: limits.forcedPauseMs,
  reportGraceMs: 30_000,
};
