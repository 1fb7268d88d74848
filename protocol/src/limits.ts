import { operatorLimits } from "./operator-limits.js";

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
  /** Of the reconnects of a user that fail, a gateway counts one in a window: whoever has a resume could otherwise make any number of them, and a
   *  rollout that sees too many pauses itself. Users remembered for that; when more than these fail, each of them is worth counting. */
  resumeFailureWindowMs: 60_000,
  resumeFailuresRemembered: 20_000,
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
  /** A gRPC connection is left at this age (give or take 10 %), and cut when what then runs on it is not over within the grace: a certificate that was
   *  replaced, or is over, serves no connection after 48 minutes. */
  grpcConnectionAgeMs: 30 * 60_000,
  grpcConnectionAgeGraceMs: 15 * 60_000,
  /** A stream is given up for a new one at this age, between two messages: well within the grace, so that none is ever cut by it. */
  grpcStreamAgeMs: 10 * 60_000,

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

  // the operator
  ...operatorLimits,

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
