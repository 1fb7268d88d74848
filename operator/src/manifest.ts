/** Reading a PushGateway: see manifest/. */
export * from "./manifest/index.js";
