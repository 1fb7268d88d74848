export * from "./memory-registry.js";
export * from "./registry.js";
