/** Where a pod's containers find what is mounted. */
export const paths = {
  gatewayConfiguration: "/etc/pushfleet/gateway.yaml",
  routerConfiguration: "/etc/pushfleet/router.yaml",
  tls: "/etc/pushfleet/tls",
  auth: "/etc/pushfleet/auth",
  /** The HS256 key, whatever its entry in the Secret is called. */
  hs256: "/etc/pushfleet/auth/hs256",
  /** Bearer tokens of publishers. */
  apiTokens: "/etc/pushfleet/api-tokens",
  clientTls: "/etc/pushfleet/client-tls",
  haproxyConfiguration: "/etc/pushfleet/haproxy.cfg",
} as const;

/** The files of a part's own certificate, as both configurations name them. */
export const tlsFiles = {
  certFile: `${paths.tls}/tls.crt`,
  keyFile: `${paths.tls}/tls.key`,
  caFile: `${paths.tls}/ca.crt`,
} as const;
