/** A manifest that names every field of the spec. Where two fields exclude each other, a row of the table says so with `given`. Numbers
 *  stand at the edges that leave their neighbours free: each can go to its own minimum and maximum without breaking a CEL rule. */
export const wholeManifest = {
  apiVersion: "pushfleet.dev/v1alpha1",
  kind: "PushGateway",
  metadata: { name: "demo" },
  spec: {
    replicas: 3,
    gateway: {
      image: "registry.example/gateway:1",
      workers: 8,
      resources: { limits: { cpu: 8, memory: "32Gi" }, requests: { cpu: "500m" } },
      tls: { secretName: "demo-tls" },
      auth: {
        jwksUrl: "https://issuer.example/jwks",
        issuer: "https://issuer.example",
        audience: "push",
        algorithms: ["RS256", "ES256"],
        maxLifetimeSeconds: 300,
      },
      limits: { handshakesPerSecond: 5000 },
      heartbeat: { intervalSeconds: 5, timeoutSeconds: 900 },
      allowedOrigins: ["https://app.example.com"],
      extraPorts: [8081, 8082],
    },
    pools: [
      {
        name: "default",
        minReplicas: 1,
        maxReplicas: 1000,
        softConnections: 1,
        hardConnections: 2_000_000,
        nodeSelector: { "pushfleet.dev/gateways": "yes" },
        tolerations: [{ key: "gateways", operator: "Equal", value: "only", effect: "NoExecute", tolerationSeconds: 60 }],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "topology.kubernetes.io/zone",
            whenUnsatisfiable: "DoNotSchedule",
            minDomains: 3,
            nodeAffinityPolicy: "Honor",
            nodeTaintsPolicy: "Ignore",
          },
        ],
        tuning: {
          profile: "websocket-500k",
          sysctls: { "net.ipv4.tcp_rmem": "4096 12288 16777216" },
          unsafeSysctls: "Tuner",
          nofile: 10_000_000,
        },
      },
    ],
    autoscaling: { mode: "External", stabilizationSeconds: 300 },
    drain: { reconnectsPerSecond: 1000, deadlineSeconds: 1500, stragglerGraceSeconds: 30 },
    rollout: { maxSurge: 1, soakSeconds: 60, maxReconnectFailurePercent: 1, paused: false, adoptOperatorTemplate: false },
    router: {
      image: "registry.example/router:1",
      minReplicas: 1,
      maxReplicas: 200,
      resources: { limits: { cpu: 2 }, requests: { memory: "1Gi" } },
      http: { apiTokensSecretRef: { name: "publishers", key: "tokens" } },
      kafka: {
        brokers: ["kafka:9092"],
        topic: "notifications.in_app",
        groupId: "pushfleet-router.default.demo",
        deadLetterTopic: "notifications.dead",
        clientEventsTopic: "notifications.client_events",
        outcomesTopic: "notifications.outcomes",
      },
    },
    registry: { kind: "Redis", url: "redis://redis:6379", keyPrefix: "default/demo:" },
    store: {
      kind: "Cassandra",
      contactPoints: ["cassandra:9042"],
      localDataCenter: "dc1",
      keyspace: "pushfleet",
      allowVolatile: false,
    },
    loadBalancer: {
      kind: "HAProxy",
      service: {
        type: "LoadBalancer",
        port: 443,
        annotations: { "cloud.example/scheme": "internal" },
        externalTrafficPolicy: "Local",
        sessionAffinity: "ClientIP",
      },
      haproxy: { image: "haproxy:3", replicas: 3, resources: { limits: { cpu: 2 }, requests: { memory: "1Gi" } } },
    },
    certificateAuthority: { secretName: "demo-authority" },
    dryRun: false,
  },
} as const;

/** A new one each time: a row that changes one place must not change another. */
const pods = () => ({ pending: 0, warming: 0, serving: 3, cordoned: 0, draining: 1, drained: 0, terminating: 0 });

/** A manifest with every field of the status, as the operator writes it. The rest of the object does not matter to it. */
export const wholeStatusManifest = {
  apiVersion: "pushfleet.dev/v1alpha1",
  kind: "PushGateway",
  metadata: { name: "demo" },
  spec: {},
  status: {
    observedGeneration: 1,
    conditions: [
      {
        type: "Available",
        status: "True",
        observedGeneration: 1,
        lastTransitionTime: "2026-01-01T00:00:00Z",
        reason: "GatewaysServe",
        message: "3 gateways take connections",
      },
    ],
    replicas: 3,
    selector: "pushfleet.dev/counted=true,pushfleet.dev/fleet=demo",
    connections: 1000,
    capacity: 1_500_000,
    pods: pods(),
    budget: { grantedPerSecond: 1000, inUsePerSecond: 900, forcedConnections: 0 },
    plan: [{ action: "Drain", target: "demo-default-0-4dfed8f6", why: "a new revision", blockedBy: "the budget" }],
    templateOutdated: false,
    pools: [
      {
        name: "default",
        desiredReplicas: 3,
        replicas: 3,
        connections: 1000,
        capacity: 1_500_000,
        pausedRevision: "4dfed8f6",
        pods: pods(),
      },
    ],
  },
} as const;
