import { fieldRows } from "./field-rows.js";
import { joinRows, type ManifestRows, rowMaker } from "./manifest-rows.js";
import { wholeStatusManifest } from "./whole-manifest.js";

const maker = rowMaker(wholeStatusManifest);
const { integer, text, choice, flag, list, mapping } = fieldRows(maker);

const condition = "status.conditions[0]";
const conditions = joinRows(
  list("status.conditions", {
    maxItems: 32,
    element: (index) => ({ ...wholeStatusManifest.status.conditions[0], type: `Type${index}` }),
    unique: { key: "type" },
  }),
  mapping(condition, ["type", "status", "lastTransitionTime", "reason", "message"]),
  text(`${condition}.type`, { minLength: 1, maxLength: 316 }),
  choice(`${condition}.status`, ["True", "False", "Unknown"]),
  integer(`${condition}.observedGeneration`, 0),
  maker.bad(`${condition}.lastTransitionTime`, 3, { keyword: "type", bound: "string", server: "must be of type date-time" }),
  maker.bad(`${condition}.lastTransitionTime`, `2026-01-01T00:00:00.${"0".repeat(64)}Z`, {
    keyword: "maxLength",
    bound: 64,
    server: "may not be more than 64 bytes",
  }),
  maker.bad(`${condition}.lastTransitionTime`, "yesterday", { keyword: "format", bound: "date-time", server: "must be of type date-time" }),
  text(`${condition}.reason`, {
    minLength: 1,
    maxLength: 1024,
    pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    unlike: "Not one word",
  }),
  text(`${condition}.message`, { maxLength: 32_768 }),
);

const podStates = (path: string, maximum: number): ManifestRows =>
  joinRows(
    mapping(path),
    ...["pending", "warming", "serving", "cordoned", "draining", "drained", "terminating"].map((state) =>
      integer(`${path}.${state}`, 0, maximum),
    ),
  );

const plan = joinRows(
  list("status.plan", { maxItems: 50, element: () => ({ action: "Drain", why: "a new revision" }) }),
  mapping("status.plan[0]", ["action", "why"]),
  text("status.plan[0].action", { minLength: 1, maxLength: 64 }),
  text("status.plan[0].target", { maxLength: 316 }),
  text("status.plan[0].why", { minLength: 1, maxLength: 1024 }),
  text("status.plan[0].blockedBy", { maxLength: 1024 }),
);

const pools = joinRows(
  list("status.pools", { maxItems: 32, element: (index) => ({ name: `pool-${index}` }), unique: { key: "name" } }),
  mapping("status.pools[0]", ["name"]),
  text("status.pools[0].name", { minLength: 1, maxLength: 20 }),
  integer("status.pools[0].desiredReplicas", 0, 1000),
  integer("status.pools[0].replicas", 0, 2000),
  integer("status.pools[0].connections", 0),
  integer("status.pools[0].capacity", 0),
  text("status.pools[0].pausedRevision", { maxLength: 8 }),
  podStates("status.pools[0].pods", 2000),
);

/** Every bound of the status, broken and kept, for the API server's status subresource. Offline judges do not look at a status. */
export const statusBounds: ManifestRows = joinRows(
  mapping("status"),
  integer("status.observedGeneration", 0),
  conditions,
  integer("status.replicas", 0, 32_000),
  text("status.selector", { maxLength: 1024 }),
  integer("status.connections", 0),
  integer("status.capacity", 0),
  podStates("status.pods", 32_000),
  mapping("status.budget"),
  integer("status.budget.grantedPerSecond", 0, 100_000),
  integer("status.budget.inUsePerSecond", 0, 100_000),
  integer("status.budget.forcedConnections", 0),
  plan,
  flag("status.templateOutdated"),
  pools,
);
