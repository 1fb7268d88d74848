export { type Client, connect } from "./client.js";
export type * from "./options.js";
export { reconnectDelayMs, reconnectDelaysMs } from "./schedule.js";
