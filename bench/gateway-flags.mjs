/** The flags `gateway/bin/pushfleet-gateway.js` gives its workers' node. */
export const gatewayFlags = [];
