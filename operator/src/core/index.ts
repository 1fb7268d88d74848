export * from "./fleet-spec.js";
export * from "./grant-annotation.js";
export * from "./pod-name.js";
export * from "./revision.js";
export * from "./settings.js";
export * from "./types.js";
