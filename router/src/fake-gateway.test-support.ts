import { type Server, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { connectionIdFromNumber, type DeviceId, incarnationFromBytes, type UserId } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import { bindGrpcServer, type ConnectionAge, createGrpcServer, gatewayService, v1 } from "@pushfleet/service";

/** A gateway worker that keeps what it is sent and answers as the test says. */
export class FakeGateway {
  readonly incarnation = incarnationFromBytes(crypto.getRandomValues(new Uint8Array(10)));
  readonly deliveries: v1.Delivery[] = [];
  /** "silent" never answers, "break" ends the stream. */
  answer: v1.Outcome | "silent" | "break" = v1.Outcome.OUTCOME_WRITTEN;
  /** Batches that came, and those that were answered; empty ones included. */
  batches = 0;
  answered = 0;
  /** Called before a batch is answered. */
  onBatch: () => void = () => {};
  /** Batches are answered when it calls `go`. */
  holdBatch: (go: () => void) => void = (go) => go();
  readonly #server: Server;
  #connections = 0;
  address = "";
  /** gRPC connections that streams came by, and streams. */
  readonly peers = new Set<string>();
  streams = 0;
  /** Streams that the router has ended. */
  ended = 0;

  constructor(age?: ConnectionAge) {
    this.#server = createGrpcServer(age);
  }

  async start(registry: Registry): Promise<this> {
    const unused = (): void => {};
    this.#server.addService(gatewayService, {
      deliver: (call: ServerDuplexStream<v1.DeliverBatch, v1.OutcomeBatch>) => {
        this.streams++;
        this.peers.add(call.getPeer());
        call.on("error", unused);
        call.on("data", (batch: v1.DeliverBatch) => this.#take(call, batch));
        call.on("end", () => {
          this.ended++;
          call.end();
        });
      },
      drain: unused,
      abortDrain: unused,
      watchStatus: unused,
      disconnect: unused,
    });
    this.address = `127.0.0.1:${await bindGrpcServer(this.#server, "127.0.0.1", 0, undefined)}`;
    await registry.acquireLease({ incarnation: this.incarnation, gateway: "gw", address: this.address, zone: "", startedAtMs: 0 });
    return this;
  }

  async connect(registry: Registry, user: string, device: string): Promise<void> {
    await registry.register({
      user: user as UserId,
      device: device as DeviceId,
      incarnation: this.incarnation,
      connection: connectionIdFromNumber(++this.#connections),
      ageMs: 0,
      fence: undefined,
      tokenId: undefined,
      tokenIssuedAtMs: undefined,
    });
  }

  get frames(): readonly string[] {
    return this.deliveries.map((delivery) => Buffer.from(delivery.frame ?? []).toString());
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #take(call: ServerDuplexStream<v1.DeliverBatch, v1.OutcomeBatch>, batch: v1.DeliverBatch): void {
    this.batches++;
    for (const delivery of batch.deliveries) this.deliveries.push(new v1.Delivery(delivery));
    if (batch.deliveries.length > 0) this.onBatch();
    const { answer } = this;
    if (answer === "silent") return;
    if (answer === "break") {
      call.emit("error", { code: status.UNAVAILABLE, details: "broken by the test" });
      return;
    }
    const outcomes = batch.deliveries.flatMap((delivery) => (delivery.targets ?? []).map(() => answer));
    this.holdBatch(() => {
      this.answered++;
      call.write(new v1.OutcomeBatch({ batchId: batch.batchId, outcomes }));
    });
  }
}
