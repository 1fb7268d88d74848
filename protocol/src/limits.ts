/** Every bound of the system has its name here (invariant I6). Units are in the names. Figures come from the design's contracts
 *  unless a comment gives another source. */
export const limits = {
  // ids
  idBytesMax: 128,
  collapseKeyBytesMax: 128,

  // client frames
  clientFrameBytesMax: 64 * 1024,
  /** uWebSockets.js cuts the connection (1006, nothing on the wire) above this; between the two we close with 1009. */
  clientFrameBytesCut: 128 * 1024,
  ackIdsMax: 1000,
  tokenBytesMax: 8 * 1024,
  /** How far another machine's clock may be ahead: for `nbf` and `iat`. `exp` has no leeway, a connection is closed at it. */
  tokenLeewaySeconds: 5,
  framesPerPostMax: 100,
  clientMessagesPerSecond: 50,
  clientMessageBurst: 100,
  clientEventsPerSecond: 10,
  clientEventBurst: 20,

  // connecting
  authFirstMessageMs: 5_000,
  handshakeHeadersMs: 12_000,
  /** Tokens of the handshake bucket kept for holders of a valid resume, as a share of its burst and on top of it. */
  handshakeReserveShare: 0.25,
  handshakeRetryMinMs: 200,
  handshakeRetryMaxMs: 60_000,
  /** Sent by a client between its authentication and hello; processed after hello. More closes with 4429. */
  framesBeforeHelloMax: 16,
  bytesBeforeHelloMax: 64 * 1024,
  queryTokenLifetimeSecondsDefault: 300,
  /** Told to the client by `auth_expiring` this long before `exp`. */
  authExpiringNoticeMs: 60_000,
  resumeLifetimeMs: 24 * 3600_000,
  registrationQueueMax: 200_000,
  registrationTimeoutMs: 5_000,

  // keys of token issuers
  jwksBytesMax: 1024 * 1024,
  jwksKeysMax: 100,
  /** Keys tried for one token that does not say which (no `kid`). */
  jwksKeysTriedMax: 8,
  jwksTimeoutMs: 5_000,
  /** A key set older than this is fetched again, in the background. */
  jwksMaxAgeMs: 10 * 60_000,
  /** At least this long between two fetches, whatever key ids tokens name. */
  jwksCooldownMs: 30_000,
  jwksRetryMs: 5_000,
  /** How long the last good key set serves while its issuer is away. */
  jwksStaleMs: 24 * 3600_000,

  // heartbeat
  heartbeatIntervalMs: 30_000,
  heartbeatTimeoutMs: 90_000,
  heartbeatSlots: 30,
  /** Of a wheel for an interval under 10 s. */
  heartbeatSlotsMin: 10,

  // publishing
  dataBytesMax: 32 * 1024,
  usersPerNotificationMax: 1000,
  publishBodyBytesMax: 1024 * 1024,
  notificationsPerPublishMax: 1000,
  /** Read and thrown away of a body that was refused, before the connection is cut. */
  publishUnreadBytesMax: 16 * 1024 * 1024,

  // sync
  syncNotificationsPerFrameMax: 100,
  syncFrameBytesMax: 256 * 1024,
  syncNewestUnread: 100,
  syncReadsPerFrameMax: 1000,
  syncOverlapMs: 60_000,
  storedNotificationsPerUserMax: 10_000,
  storedReadsPerUserMax: 10_000,
  syncPageTokenBytesMax: 512,
  /** What the memory store holds, by its own count (text plus about 300 bytes for each notification or mark); then the oldest go. */
  memoryStoreBytesMax: 512 * 1024 * 1024,
  /** Client events kept to look at where there is no Kafka. */
  recentClientEventsMax: 100,

  // delivery
  appendRetryMs: 10_000,
  appendFreshMs: 20_000,
  clockSkewMs: 5_000,
  outcomeTimeoutMs: 5_000,
  unreachableWorkerMs: 10_000,
  coalesceMs: 3,
  coalesceMessages: 1000,
  deliverBatchesInFlight: 32,
  deliverBatchBytesMax: 1024 * 1024,
  dedupeEntriesMax: 1_000_000,
  /** Deliveries (a notification for one user) under way from Kafka records, and from published requests: each has a share of its own. A record
   *  or request that is begun is finished, so that either may be exceeded by one of them. */
  recordDeliveriesInFlightMax: 15_000,
  publishDeliveriesInFlightMax: 5_000,
  /** Deliveries of accepted requests that wait for theirs: beyond it 429. */
  publishDeliveriesQueuedMax: 20_000,
  /** A request whose notifications do not have all their outcomes by then is answered 503. More than a worker's `unreachableWorkerMs`. */
  publishTimeoutMs: 30_000,
  /** Records of one partition that were fetched and wait: beyond it fetching pauses. */
  partitionQueuedMax: 1_000,
  /** Read marks on their way to a user's other devices. */
  readFanOutsInFlightMax: 10_000,
  readFanOutAttemptsMax: 3,
  /** Between two attempts at a delivery, doubling from the first to the second. */
  deliveryRetryMinMs: 100,
  deliveryRetryMaxMs: 2_000,
  /** How often a worker's stream looks for batches without outcomes, and asks a silent worker whether it answers again. */
  workerCheckMs: 250,
  workerProbeMs: 1_000,
  /** How often channels of workers without a lease are closed. */
  workerSweepMs: 10_000,
  grpcMessageBytesMax: 4 * 1024 * 1024,

  // Kafka
  kafkaConnectMs: 2_000,
  kafkaRequestMs: 10_000,
  kafkaCommitMs: 250,
  kafkaFetchWaitMs: 100,
  kafkaHeartbeatMs: 1_000,
  kafkaSessionMs: 10_000,
  /** Between two attempts at a Kafka that is away, doubling from the first to the second. */
  kafkaRetryMinMs: 200,
  kafkaRetryMaxMs: 5_000,
  kafkaWriteRecordsMax: 500,
  kafkaWriteBytesMax: 512 * 1024,
  /** Records that wait to be written; client events are refused beyond it. */
  kafkaWriteQueueMax: 20_000,
  kafkaDecompressedBytesMax: 256 * 1024 * 1024,
  deadLetterReasonBytesMax: 4096,
  /** What a stopping router waits for what is under way, for its last answers to leave, and then for each of its parts. */
  routerStopMs: 5_000,
  routerAnswerMs: 500,
  routerIdleCheckMs: 50,
  routerPartStopMs: 2_000,

  // outbox
  outboxBytesMax: 256 * 1024,
  outboxFramesMax: 1000,
  outboxStayMs: 20_000,
  /** Bytes uWebSockets.js may hold unsent for a socket before the outbox takes over. */
  socketBufferedBytesMax: 64 * 1024,
  /** Second bound: an outbox that stays above this closes with 4410 at once. */
  outboxBytesHard: 1024 * 1024,

  // registry
  leaseSeconds: 60,
  leaseRefreshMs: 10_000,
  leaseNotReadyMs: 45_000,
  registryEntryBytesMax: 64,
  /** A `conn:{user}` hash that nobody re-registers into for this long goes away by itself (re-registration pass: 15 min). */
  registryHashSeconds: 2 * 3600,
  reregisterPerSecond: 500,
  auditPeriodMs: 15 * 60_000,
  freshConnectionMs: 1_000,
  leaseCacheMs: 1_000,
  devicesPerUserMax: 1000,
  /** Beyond it a user's single revocations become one of everything issued until then. */
  revocationsPerUserMax: 100,
  /** The memory registry drops entries without a lease this often. */
  registrySweepMs: 60_000,
  /** Redis did not answer a pipeline for this long: its outcome is `unavailable`, the connection is made anew. */
  registryTimeoutMs: 2_000,
  registryStartMs: 10_000,
  registryReconnectMsMax: 2_000,
  registryPipelineCommandsMax: 1000,
  registryPipelinesInFlightMax: 16,
  /** Waiting for a pipeline: every registration a worker may queue, and its unregistrations. */
  registryCommandsQueuedMax: 300_000,
  /** Unregistrations that Redis has not confirmed, kept to be repeated: more than a worker has connections. */
  unregistrationRetriesMax: 100_000,
  registryConflictRoundsMax: 4,
  registryPurgesPerLookUpMax: 1000,
  leaseCacheEntriesMax: 10_000,

  // drain
  drainQuietMs: 5_000,
  drainCordonMs: 30_000,
  drainSliceMs: 100,
  /** The window that never holds more than a second's grant: a slice longer than the invariant's 1,000 ms, so that what a busy loop or
   *  the network pushes together by up to a slice still keeps the budget. */
  drainWindowMs: 1_100,
  grantRenewMs: 30_000,
  supersededCloseMs: 10_000,

  // gateway to router
  batchMs: 20,
  batchItemsMax: 1000,
  /** Acks or events waiting in a worker while no router answers. */
  batchQueueMax: 50_000,
  syncRetryMs: 2_000,
  gapsPerSecond: 500,
  routerCallMs: 5_000,
  /** Names of routers are resolved this often, and after a call that no router answered, at least `routerResolveMinMs` apart. */
  routerResolveMs: 5_000,
  routerResolveMinMs: 1_000,
  /** Addresses of routers that a worker has channels to. */
  routerAddressesMax: 256,
  batchRetryMinMs: 200,
  batchRetryMaxMs: 5_000,
  /** Pages that a worker asks routers for at the same time; the other syncs wait their turn. */
  syncsInFlightMax: 256,

  // gateway worker
  workersMax: 256,
  workerAnswerMs: 5_000,
  workerRestartMsMax: 30_000,
  /** A supervisor looks at the container's memory this often, and restarts the worker with most of it above this share of the limit. */
  memoryCheckMs: 1_000,
  memoryShareMax: 0.95,
  memoryReliefMs: 30_000,
  /** Targets collected before they are written together. */
  deliverTargetsMax: 20_000,
  /** A batch with as many tells of a backlog: what comes within `deliverBacklogMs` is written together. */
  deliverBacklogTargets: 500,
  deliverBacklogMs: 3,
  /** Deadlines, drains, gaps and re-registrations are looked at this often. */
  tickMs: 100,
  /** Middle of the hint to a client that a cordoned gateway refuses: by then its balancer knows. */
  cordonedRetryMs: 1_000,
  /** Of a full one. */
  fullRetryMs: 5_000,
  /** Of a gateway whose fleet is deleted: it may never be back. */
  fleetDeletedRetryMs: 30_000,
  /** Between two attempts at a registry that did not answer. */
  registryRetryMs: 1_000,
  /** Connections looked at in one tick of a re-registration, registered or not. */
  reregisterLooksMax: 20_000,
  /** Neither sent nor received anything for this long: moved before the others in a drain. */
  drainIdleMs: 10_000,
  statusPeriodMs: 5_000,
  statusCheckMs: 250,
  statusChangeShare: 0.01,
  statusWatchersMax: 64,
  disconnectTimeoutMs: 3_000,
  disconnectAttemptsMax: 3,
  /** gRPC channels to other gateway workers kept open. */
  peerChannelsMax: 1_000,
  /** What is left to sockets that were closed before they are cut. */
  closeLingerMs: 250,
  /** Of the notifications delivered, so many in a window are remembered for `pushfleet_receipt_seconds`. */
  receiptsRemembered: 5_000,
  receiptWindowMs: 30_000,
  /** `stop` without a drain is over by then. */
  closeAllMs: 3_000,

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
  statusRetryMs: 250,
  statusRetryMaxMs: 5_000,
  drainCallMs: 2_000,
  /** Pods of one fleet that are written to or called at the same time. */
  podWritesAtOnce: 8,
  /** A fleet that changes is planned again after the first, one that is settled after the second, and after a change of its gateways' loads
   *  no sooner than after the third. */
  planMovingMs: 1_000,
  planSettledMs: 5_000,
  planChangedMs: 250,
  /** Numbers of a status that nothing depends on (connections) are written this often. */
  statusWriteMs: 10_000,
  /** Creating a pod that was refused (a quota, a webhook) is tried again after the first, doubled each time, at most after the second. */
  createRefusedMs: 1_000,
  createRefusedMaxMs: 60_000,
  fleetsAtOnce: 8,
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
  /** Connections for requests; more wait for one. 16 at 10 ms a request carry 1,600/s. */
  kubernetesConnectionsMax: 16,
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
  /** Between two attempts at a list or a watch, doubling from the first to the second, each d uniform in [d/2, d]. */
  kubernetesRetryMinMs: 500,
  kubernetesRetryMaxMs: 15_000,
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
  /** Writes about one object, as client-go's spam filter. */
  eventBurst: 25,
  eventRefillMs: 5 * 60_000,
  eventQueueMax: 1_000,
  /** Of `note`: the API refuses more. */
  eventNoteBytesMax: 1_024,
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
  /** After a Secret was written until every process has it: the kubelet's sync (up to about 2 min), the process's own look at the file, reserve. */
  certificateSettleMs: 10 * 60_000,
  /** RFC 7518 section 3.2. */
  hs256KeyBytesMin: 32,

  // certificates, keys and tokens in files
  /** How often they are looked at: a mounted secret of Kubernetes changes within about a minute, so that this adds little. */
  fileLookMs: 5_000,
  /** Callers that were refused and are remembered so as to log each once. */
  refusedCallersRemembered: 100,
  /** A client certificate that was replaced keeps its sockets in a context of its own; beyond so many the oldest is closed. */
  formerClientTlsMax: 16,

  // client schedule
  reconnectDelaysMs: [0, 1_000, 2_000, 5_000, 10_000, 30_000],
} as const;
