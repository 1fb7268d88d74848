import { limits } from "@pushfleet/protocol";
import type { PlannerSettings } from "./types.js";

export const defaultSettings: PlannerSettings = {
  timeToReadyMs: 180_000,
  arrivalHalfLifeMs: 20_000,
  settleMs: limits.drainCordonMs,
  releaseMs: limits.drainWindowMs,
  renewMs: limits.grantRenewMs / 3,
  forcedPauseMaxMs: 120_000,
  reportGraceMs: 30_000,
};
