export * from "./core/index.js";
export * from "./local/console-server.js";
export * from "./local/local-world.js";
export * from "./local/merge-metrics.js";
export * from "./local/pass-through.js";
export * from "./manifest.js";
