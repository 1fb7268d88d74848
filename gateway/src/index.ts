export * from "./configuration.js";
export * from "./create-gateway.js";
export { connectRouters, type RouterChannels } from "./shell/router-link.js";
