// The bare minimum with the `ws` package for deliveries: the same gRPC stream as a gateway gets, a Map of sockets, one send for each target, and the outcomes.
import { bindGrpcServer, createGrpcServer, gatewayService, v1 } from "@pushfleet/service";
import { WebSocketServer } from "ws";
import { answerRequests } from "../processes.mjs";

/** @type {Map<string, import("ws").WebSocket>} by connection id */
const sockets = new Map();

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false, clientTracking: false });
let lastId = 0;
server.on("connection", (socket) => {
  const id = `ws.${++lastId}`;
  sockets.set(id, socket);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(id));
  socket.send(`{"type":"hello","connection_id":"${id}"}`);
});
const listening = new Promise((resolve) => server.on("listening", resolve));

const textFrame = { binary: false };

/** @param {v1.IDeliverBatch} batch @returns {v1.IOutcomeBatch} */
function deliver(batch) {
  const outcomes = [];
  for (const { frame, targets } of batch.deliveries ?? []) {
    for (const { connection } of targets ?? []) {
      const socket = sockets.get(`ws.${connection}`);
      if (socket === undefined) {
        outcomes.push(v1.Outcome.OUTCOME_STALE);
      } else {
        socket.send(frame, textFrame);
        outcomes.push(v1.Outcome.OUTCOME_WRITTEN);
      }
    }
  }
  return { batchId: batch.batchId, outcomes };
}

const grpc = createGrpcServer();
grpc.addService(
  { deliver: gatewayService.deliver },
  {
    /** @param {import("@grpc/grpc-js").ServerDuplexStream<v1.IDeliverBatch, v1.IOutcomeBatch>} call */
    deliver(call) {
      call.on("data", (batch) => call.write(deliver(batch)));
      call.on("error", () => {});
      call.on("end", () => call.end());
    },
  },
);
const grpcPort = bindGrpcServer(grpc, "127.0.0.1", 0, undefined);

answerRequests({
  async addresses() {
    await listening;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return { port: address.port, grpc: `127.0.0.1:${await grpcPort}` };
  },
  connections: () => sockets.size,
});
