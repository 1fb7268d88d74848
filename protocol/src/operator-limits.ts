/** The bounds of the operator: a part of `limits`, where they are read. */
export const operatorLimits = {
  // planner of the operator
  /** Creating more at once only crowds the scheduler; the next plan goes on. */
  podsCreatedPerPlan: 20,
  plannedSteps: 20,
  timeToReadySamples: 20,
  /** How often a drain that makes no use of its time gets more of it. */
  drainExtensions: 2,
  /** Voluntary moves wait no longer than this for clients of a pod that died. */
  forcedPauseMs: 120_000,
  podNamesTold: 10,
  /** Reconnects of the last minutes are what a rollout pauses itself by. */
  reconnectWindowMs: 300_000,
  /** Pods that end before they are ready are tried again after the first, doubled each time, at most after the second. */
  createBackOffFirstMs: 1_000,
  createBackOffMs: 300_000,

  // routers of a cluster
  /** One router more for each such backlog. */
  routerLagRecords: 10_000,
  routerStabilizationMs: 300_000,
  routerLagPeriodMs: 15_000,
  routerLagFetchMs: 2_000,

  // operator in a cluster
  /** A gateway that has sent no status for this long does not report: three periods of its own. */
  statusSilenceMs: 15_000,
  /** A status has about 150 bytes. */
  gatewayStatusBytesMax: 64 * 1024,
  statusRetryMs: 250,
  statusRetryMaxMs: 5_000,
  drainCallMs: 2_000,
  /** Pods of one fleet that are written to or called at the same time. */
  podWritesAtOnce: 8,
  /** A fleet that changes is planned again after the first, one that is settled after the second, and after a change of its gateways' loads
   *  no sooner than after the third. */
  planMovingMs: 1_000,
  planSettledMs: 15_000,
  planChangedMs: 250,
  /** Numbers of a status that nothing depends on (connections) are written this often. */
  statusWriteMs: 15_000,
  /** Of all fleets together, a second: above 180 fleets each is written less often. */
  statusNumbersPerSecond: 12,
  /** What happens to pods, of all fleets together, a second, and how long a fleet counts as one that tells of it. */
  statusTellsPerSecond: 20,
  statusTellingMs: 10_000,
  /** Creating a pod that was refused (a quota, a webhook) is tried again after the first, doubled each time, at most after the second: how late
   *  a fleet is when the cause has gone. */
  createRefusedMs: 1_000,
  createRefusedMaxMs: 10_000,
  /** They wait nearly all their time, and those that wait long must not keep the others out. */
  fleetsAtOnce: 128,
  /** Writes of all fleets that are sent and not answered; the others wait for their turn. More only make an API server slower, and it has to
   *  answer within `kubernetesRequestMs`; fewer than its connections (`kubernetesConnectionsMax`), so that reads always find one. */
  fleetWritesAtOnce: 48,
  /** A write that took this share of its time and has no answer is one of a webhook or an API server that hangs: its fleet rests for the second. */
  unansweredWriteShare: 0.8,
  unansweredRestMs: 5_000,
  /** Secrets that a spec names are asked for this often, and more often while one is missing. */
  secretLookMs: 60_000,
  secretMissingLookMs: 5_000,
  /** Owned objects are looked at again though nothing seems to have changed. */
  ownedLookMs: 300_000,
  /** What was made a moment ago is not cleared away: what needs it may not be seen yet. */
  pruneAgeMs: 60_000,
  /** One reconcile of a fleet; its writes have time-outs of their own. */
  fleetReconcileMs: 60_000,
  /** Beyond a drain's deadline and grace, until the deletion of a fleet waits no longer. */
  finalizerSlackMs: 60_000,
  conditionMessageCharactersMax: 2_000,
  planSentenceCharactersMax: 1_000,

  // operator: an API server
  /** A request and its answer: under leaseDuration - renewDeadline (15 s - 10 s), so that a write of a leader that lost its lease is over
   *  before the next leader starts. */
  kubernetesRequestMs: 5_000,
  /** One page of a list, and until a watch begins: reading is not bound to the lease, and a page of pods is long. */
  kubernetesListMs: 30_000,
  kubernetesConnectMs: 3_000,
  /** Connections for requests, opened as they are needed; more wait for one. A fleet whose writes are not answered holds one, half of the time. */
  kubernetesConnectionsMax: 64,
  /** After a request that got no answer in time its connections are left for new ones, not more often than this. */
  kubernetesReconnectMs: 1_000,
  /** Each watch has a connection of its own. */
  kubernetesWatchesMax: 64,
  /** Idle connections are closed before the API server does it (90 s), or a balancer before it. */
  kubernetesKeepAliveMs: 30_000,
  kubernetesBodyBytesMax: 64 * 1024 * 1024,
  /** One event of a watch: etcd takes objects up to 1.5 MiB, JSON is longer. */
  kubernetesEventBytesMax: 8 * 1024 * 1024,
  /** Of a server's message that is told on, in characters. */
  kubernetesMessageMax: 2_000,
  kubernetesRetryAfterMaxMs: 300_000,
  /** Tokens, certificates and keys are read again this often, and at once after a 401, but not more often than the second. */
  kubernetesCredentialsMs: 30_000,
  kubernetesCredentialsMinMs: 1_000,
  kubernetesListPage: 500,
  kubernetesListPagesMax: 20_000,
  /** The server ends a watch after a time between these two, so that not all end together. */
  kubernetesWatchSecondsMin: 300,
  kubernetesWatchSecondsMax: 600,
  /** A watch is taken for dead after this much silence (bookmarks come about every 60 s), or this long after its own end. */
  kubernetesWatchSilenceMs: 150_000,
  kubernetesWatchSlackMs: 30_000,
  /** A watch that ended sooner is followed by a pause. */
  kubernetesWatchShortMs: 1_000,
  /** Between two attempts at a list or a watch, doubling from the first to the second, each d uniform in [d/2, d]. The second is how late a
   *  fleet is after an outage; a server with too much to do asks for more itself (429, Retry-After). */
  kubernetesRetryMinMs: 500,
  kubernetesRetryMaxMs: 5_000,
  /** A wait that a server asks for is made longer by up to this share, so that not all come back together. */
  kubernetesRetryJitterShare: 0.2,
  /** Failures of watches in a row, without a new event, after which everything is listed again: broken lines, and anything. */
  kubernetesMalformedMax: 3,
  kubernetesWatchFailuresMax: 8,
  /** Uids of deleted objects that a cache remembers until its next list, against repeated events. */
  kubernetesDeletedRemembered: 10_000,

  // operator: work queue
  workQueueBackOffMinMs: 5,
  workQueueBackOffMaxMs: 60_000,

  // operator: leader election, as client-go
  leaderLeaseMs: 15_000,
  leaderRenewDeadlineMs: 10_000,
  leaderRetryMs: 2_000,
  /** A candidate's pause is up to this much longer, so that candidates do not meet. */
  leaderJitterShare: 0.2,
  /** A missing Lease is created after this many retry periods: a living leader whose Lease was deleted makes it again first. */
  leaderMissingPeriods: 2,

  // operator: events
  /** The same event within this time is one with a higher count. */
  eventSeriesMs: 6 * 60_000,
  eventSeriesMax: 4_096,
  /** Writes of one type (Normal, Warning) about one object, as client-go's spam filter. */
  eventBurst: 25,
  eventRefillMs: 5 * 60_000,
  eventQueueMax: 1_000,
  /** Of `reportingInstance`: the API refuses more, and a pod's name may be longer. */
  eventReporterCharactersMax: 128,
  /** Of `note`: the API refuses more. */
  eventNoteBytesMax: 1_024,
  /** Of what was done to several pods at once. */
  eventPodsNamed: 5,
  eventStopMs: 2_000,

  // operator: pods it makes
  /** As the schema of the API: gRPC ports 9101 to 9228. */
  podWorkersMax: 128,
  /** A pod that is deleted goes on serving for this long, until no balancer sends to it any more; then SIGTERM. */
  preStopSeconds: 5,
  /** Of a pod's grace period, after its drain: closing sockets, unregistering, exit. */
  podStopSeconds: 15,
  routerGraceSeconds: 30,
  /** A gateway or router that does not answer its first probe for this long is started again: 60 probes, one each 2 s. */
  startupProbesMax: 60,
  startupProbeSeconds: 2,
  /** A pod that answers no liveness probe for 6 x 10 s is started again, which closes its sockets: late rather than early. */
  livenessProbesMax: 6,
  livenessProbeSeconds: 10,
  readinessProbeSeconds: 2,
  probeTimeoutSeconds: 5,
  temporaryFolderMiB: 64,
  /** Of Deployments, and of revisions of a fleet. */
  revisionHistory: 5,

  // operator: HAProxy
  /** Connections one client address can open to one address and port: ports 1,024 to 65,535. */
  connectionsPerProxyServer: 64_512,
  haproxyServersMin: 16,
  /** What a DNS answer of `haproxyDnsBytes` names. */
  haproxyServersMax: 512,
  /** Room over the pods a fleet may have with its surge, for those still draining. */
  haproxyServersShare: 1.25,
  haproxyOpenFilesMin: 65_536,
  haproxyThreadsMax: 64,
  /** A stopping HAProxy keeps its connections for at most this long, then cuts them. */
  haproxyStopSeconds: 1_800,
  haproxyConnectSeconds: 5,
  /** Until a client or a gateway has sent its first byte: a gateway cuts slow headers at 10 to 12 s. */
  haproxyFirstByteSeconds: 60,
  /** Above the longest heartbeat a spec may ask for (timeoutSeconds 900). */
  haproxyTunnelSeconds: 1_800,
  haproxyResolveHoldSeconds: 10,
  /** Of a DNS answer over UDP: about 500 addresses. */
  haproxyDnsBytes: 8_192,

  // operator: certificates of a fleet
  authorityLifetimeMs: 3 * 365 * 86_400_000,
  leafLifetimeMs: 90 * 86_400_000,
  /** A certificate is valid from this long before it is made: clocks of nodes differ. */
  certificateBackdateMs: 3_600_000,
  /** Of its life, after which a certificate is renewed. */
  certificateRenewShare: 2 / 3,
  /** Of its life, after which it is told that an authority has not been renewed by whom it is of. */
  certificateWarnShare: 5 / 6,
  /** After a Secret was written until every process has it: the kubelet's sync (up to about 2 min), the process's own look at the file, reserve. */
  certificateSettleMs: 10 * 60_000,
  /** RFC 7518 section 3.2. */
  hs256KeyBytesMin: 32,
} as const;
