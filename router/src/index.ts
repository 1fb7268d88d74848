export * from "./configuration.js";
export type * from "./core/store.js";
export * from "./create-router.js";
