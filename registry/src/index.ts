export * from "./configuration.js";
export * from "./memory-registry.js";
export * from "./redis-registry.js";
export * from "./registry.js";
