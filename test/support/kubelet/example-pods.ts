/** A small HTTP server as an image: what it was given, what it reads, what it resolves. */
export const serverSource = `
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { promises as dns } from "node:dns";
const [host, port, file] = process.argv.slice(2);
const answers = {
  "/healthz": () => "ok",
  "/config": () => readFileSync(file, "utf8"),
  "/env": () => JSON.stringify(process.env),
  "/lookup": async (name) => JSON.stringify((await dns.lookup(name, { all: true })).map((one) => one.address)),
};
const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://x");
  try {
    response.end(await answers[url.pathname](url.searchParams.get("name")));
  } catch (error) {
    response.writeHead(500).end(String(error.code ?? error));
  }
});
server.listen(Number(port), host, () => console.log("listening on " + server.address().address));
process.on("SIGTERM", () => {
  console.log("terminating");
  process.exit(0);
});
`;

/** The server in a pod, with all that a container is given. `spec`: more lines of its spec. */
export const podYaml = (name: string, spec = ""): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: demo } }
spec:
  serviceAccountName: default
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 20
  containers:
    - name: server
      image: demo
      terminationMessagePolicy: FallbackToLogsOnError
      args: ["0.0.0.0", "$(PORT)", /etc/demo/config.yaml]
      ports: [{ name: http, containerPort: 8080 }]
      env:
        - { name: PORT, value: "8080" }
        - { name: NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        - { name: ADDRESS, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: PASSWORD, valueFrom: { secretKeyRef: { name: demo, key: password } } }
      readinessProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 1 }
      lifecycle: { preStop: { sleep: { seconds: 1 } } }
      volumeMounts: [{ name: config, mountPath: /etc/demo }]
  volumes: [{ name: config, configMap: { name: demo } }]
${spec}
`;

/** A router and two gateways as their images run: configuration in ConfigMaps, all addresses, names of Services. */
export const fleetYaml = (redisUrl: string): readonly [string, string][] => [
  ["services", "{ metadata: { name: fleet-router }, spec: { clusterIP: None, selector: { part: router }, ports: [{ port: 9200 }] } }"],
  [
    "configmaps",
    `
metadata: { name: fleet }
data:
  router.yaml: |
    http: { host: 0.0.0.0 }
    admin: { host: 0.0.0.0 }
    grpc: { host: 0.0.0.0 }
    registry: { kind: redis, url: "${redisUrl}" }
    store: { kind: memory }
  gateway.yaml: |
    id: set-by-environment
    listen: { host: 0.0.0.0 }
    admin: { host: 0.0.0.0 }
    grpc: { host: 0.0.0.0 }
    workers: 1
    auth: { hs256SecretFile: /etc/pushfleet/auth/secret }
    registry: { kind: redis, url: "${redisUrl}" }
    router: { addresses: ["fleet-router.default.svc:9200"] }
`,
  ],
  ["secrets", `{ metadata: { name: fleet-auth }, stringData: { secret: ${jwtSecret} } }`],
  ["pods", partYaml("router", "router", 9092)],
  ["pods", partYaml("gateway-1", "gateway", 9091)],
  ["pods", partYaml("gateway-2", "gateway", 9091)],
];

export const jwtSecret = "test-kubelet-secret-of-32-bytes-or-more";

const partYaml = (name: string, part: string, adminPort: number): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { part: ${part} } }
spec:
  automountServiceAccountToken: false
  containers:
    - name: ${part}
      image: ${part}
      args: ["-c", "/etc/pushfleet/${part}.yaml"]
      env: ${part === "router" ? "[]" : "[{ name: PUSHFLEET_GATEWAY_ID, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]"}
      readinessProbe: { httpGet: { path: /readyz, port: ${adminPort} }, periodSeconds: 1 }
      volumeMounts: [{ name: config, mountPath: /etc/pushfleet }, { name: auth, mountPath: /etc/pushfleet/auth }]
  volumes: [{ name: config, configMap: { name: fleet } }, { name: auth, secret: { secretName: fleet-auth } }]
`;

/** A balancer that finds the ready pods of a headless service by DNS, as in a cluster. */
export const balancerYaml: readonly [string, string][] = [
  [
    "configmaps",
    `
metadata: { name: balancer }
data:
  haproxy.cfg: |
    defaults
      mode http
      timeout connect 1s
      timeout client 5s
      timeout server 5s
    resolvers cluster
      parse-resolv-conf
      hold obsolete 0s
      timeout resolve 200ms
    frontend all
      bind :8080
      default_backend demo
    backend demo
      server-template demo- 4 demo.default.svc.cluster.local:8080 resolvers cluster init-addr none
`,
  ],
  [
    "pods",
    `
metadata: { name: balancer }
spec:
  automountServiceAccountToken: false
  containers:
    - name: haproxy
      image: haproxy
      args: ["-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
      volumeMounts: [{ name: config, mountPath: /usr/local/etc/haproxy }]
  volumes: [{ name: config, configMap: { name: balancer } }]
`,
  ],
];
