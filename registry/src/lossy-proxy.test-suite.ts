import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Stands between a registry and its Redis: loses answers, or cuts the connection, when told to. */
export class LossyProxy {
  readonly #server;
  readonly #sockets = new Set<Socket>();
  readonly #deaf = new Set<Socket>();
  #losesAnswers = false;
  #isCut = false;
  #isDeaf = false;

  constructor(port: number) {
    this.#server = createServer((client) => {
      if (this.#isCut) return void client.destroy();
      if (this.#isDeaf) {
        client.on("error", () => {});
        this.#deaf.add(client);
        return;
      }
      const redis = connect(port, "127.0.0.1");
      for (const socket of [client, redis]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => this.#sockets.delete(socket));
      }
      client.on("data", (bytes) => redis.write(bytes));
      client.on("close", () => redis.destroy());
      redis.on("close", () => client.destroy());
      redis.on("data", (bytes) => {
        if (this.#losesAnswers) client.destroy();
        else client.write(bytes);
      });
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Runs `task`; what Redis answers meanwhile is lost with the connection, though Redis has done it. */
  async losingAnswers<T>(task: () => Promise<T>): Promise<T> {
    this.#losesAnswers = true;
    try {
      return await task();
    } finally {
      this.#losesAnswers = false;
    }
  }

  /** Runs `task` without any connection, and none to be had. */
  async whileCut<T>(task: () => Promise<T>): Promise<T> {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
    try {
      return await task();
    } finally {
      this.#isCut = false;
    }
  }

  /** Runs `task` while whoever connects gets a connection that nothing answers on, now or ever. Those that stood are cut. */
  async whileDeaf<T>(task: () => Promise<T>): Promise<T> {
    this.#isDeaf = true;
    for (const socket of this.#sockets) socket.destroy();
    try {
      return await task();
    } finally {
      this.#isDeaf = false;
    }
  }

  get deafConnections(): number {
    return this.#deaf.size;
  }

  stop(): void {
    this.#server.close();
    for (const socket of [...this.#sockets, ...this.#deaf]) socket.destroy();
  }
}
