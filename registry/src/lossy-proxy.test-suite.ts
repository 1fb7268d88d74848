import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Stands between a registry and its Redis: loses answers, or cuts the connection, when told to. */
export class LossyProxy {
  readonly #server;
  readonly #sockets = new Set<Socket>();
  #losesAnswers = false;
  #isCut = false;

  constructor(port: number) {
    this.#server = createServer((client) => {
      if (this.#isCut) return void client.destroy();
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

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
