export * from "./configuration.js";
export * from "./create-gateway.js";
export { connectRouters } from "./shell/router-link.js";
