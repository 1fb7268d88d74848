// The bare minimum with the `ws` package: no token, no registry, no heartbeat, no compression; a hello and nothing else.
import { WebSocketServer } from "ws";
import { answerRequests } from "../processes.mjs";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false, clientTracking: false });
let connections = 0;
let lastId = 0;
server.on("connection", (socket) => {
  connections++;
  socket.on("error", () => {});
  socket.on("close", () => connections--);
  socket.send(`{"type":"hello","connection_id":"${++lastId}"}`);
});
const listening = new Promise((resolve) => server.on("listening", resolve));

answerRequests({
  async addresses() {
    await listening;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return { port: address.port };
  },
  collect: () => globalThis.gc?.(),
  connections: () => connections,
});
