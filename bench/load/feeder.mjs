// What a few routers do with a gateway when they have a backlog: a stream each, full batches, a window of them in flight, the next when one is
// answered. The batches are encoded before anything is measured.

import { limits } from "@pushfleet/protocol";
import { createGrpcClient, gatewayService, v1 } from "@pushfleet/service";
import { answerRequests } from "../processes.mjs";

/** HTTP/2's window of 64 KiB makes one stream wait for the network; a fleet has several routers. */
const routers = 4;
const deliveriesPerBatch = limits.coalesceMessages;
const inFlight = limits.deliverBatchesInFlight;
/** More than are in flight, so that a batch's id is free again when its turn comes. */
const batchCount = 2 * inFlight;
const nowMs = Date.now();

let answered = 0;
let written = 0;
let isRunning = false;
let waiting = 0;
/** @type {Error | undefined} */
let failure;
/** @type {() => void} */
let finished = () => {};
const ended = new Promise((resolve) => {
  finished = () => resolve(undefined);
});

/** The same sequence in each run (mulberry32), so that both servers get the same deliveries in the same order.
 * @param {number} seed */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A notification's frame of exactly `bytes` bytes.
 * @param {number} sequence @param {number} bytes */
function delivery(sequence, bytes) {
  const notificationId = `n${String(sequence).padStart(9, "0")}`;
  const cursor = `c1_${String(nowMs).padStart(13, "0")}_${String(sequence % 1_000_000).padStart(6, "0")}`;
  const members = `"notification_id":"${notificationId}","cursor":"${cursor}","created_at":${nowMs}`;
  const start = `{"type":"notification",${members},"data":{"title":"Order shipped","body":"`;
  return { frame: Buffer.from(`${start}${"x".repeat(bytes - start.length - 3)}"}}`), cursor, notificationId, createdAtMs: nowMs };
}

/** @param {readonly { user: string, device: string, connection: string }[]} targets @param {number} frameBytes */
function encodeBatches(targets, frameBytes) {
  const random = randomNumbers(1);
  return Array.from({ length: batchCount }, (_, batchId) => {
    const deliveries = Array.from({ length: deliveriesPerBatch }, (_, i) => {
      const target = targets[Math.floor(random() * targets.length)];
      if (target === undefined) throw new Error("nobody to deliver to");
      return { ...delivery(batchId * deliveriesPerBatch + i, frameBytes), targets: [target] };
    });
    return Buffer.from(v1.DeliverBatch.encode({ batchId, deliveries }).finish());
  });
}

/** @param {string} address @param {readonly Buffer[]} batches @param {number} first index of the first batch it sends */
function openStream(address, batches, first) {
  const { path, responseDeserialize } = gatewayService.deliver;
  const call = createGrpcClient(address, undefined).makeBidiStreamRequest(
    path,
    (/** @type {Buffer} */ bytes) => bytes,
    responseDeserialize,
  );
  const fail = (/** @type {Error} */ error) => {
    failure ??= error;
    finished();
  };
  let next = first;
  const send = () => {
    waiting++;
    call.write(batches[next++ % batchCount]);
  };
  call.on("error", fail);
  call.on("end", () => fail(new Error("the stream ended")));
  call.on("data", (/** @type {v1.OutcomeBatch} */ { outcomes }) => {
    waiting--;
    answered += outcomes.length;
    for (const outcome of outcomes) if (outcome === v1.Outcome.OUTCOME_WRITTEN) written++;
    if (isRunning) send();
    else if (waiting === 0) finished();
  });
  for (let i = 0; i < inFlight; i++) send();
}

answerRequests({
  /** @param {{ address: string, targets: readonly { user: string, device: string, connection: string }[], frameBytes: number }} argument */
  begin({ address, targets, frameBytes }) {
    const batches = encodeBatches(targets, frameBytes);
    isRunning = true;
    for (let i = 0; i < routers; i++) openStream(address, batches, Math.floor((i * batchCount) / routers));
  },
  async finish() {
    isRunning = false;
    await ended;
    if (failure !== undefined) throw failure;
    return { answered, written };
  },
});
