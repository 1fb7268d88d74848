import { type Connection, connectionNumber, type Move, moves } from "./connection.js";

/** All connections of a worker, and how many of the open ones stand where in a drain. */
export class ConnectionTable {
  readonly #byNumber = new Map<number, Connection>();
  /** Open connections by `moves`. */
  readonly #moved: number[] = Object.values(moves).map(() => 0);
  #lastNumber = 0;
  #open = 0;

  get byNumber(): ReadonlyMap<number, Connection> {
    return this.#byNumber;
  }

  /** Before hello or after it. */
  get size(): number {
    return this.#byNumber.size;
  }

  /** From hello on. */
  get open(): number {
    return this.#open;
  }

  /** Of the open ones. */
  moved(move: Move): number {
    return this.#moved[move] ?? 0;
  }

  /** Numbers are never used twice: an id of a connection that is gone finds nothing. */
  nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  add(connection: Connection): void {
    this.#byNumber.set(connection.number, connection);
  }

  /** Hello was sent. */
  markOpen(connection: Connection): void {
    connection.isOpen = true;
    this.#open += 1;
    this.#count(connection.move, 1);
  }

  setMove(connection: Connection, move: Move): void {
    if (connection.isOpen) {
      this.#count(connection.move, -1);
      this.#count(move, 1);
    }
    connection.move = move;
  }

  remove(connection: Connection): void {
    if (!this.#byNumber.delete(connection.number) || !connection.isOpen) return;
    this.#open -= 1;
    this.#count(connection.move, -1);
  }

  /** The connection of this id, if it is this user's and device's. */
  find(id: string, user: string, device: string): Connection | undefined {
    const connection = this.#byNumber.get(connectionNumber(id));
    return connection !== undefined && connection.core.user === user && connection.core.device === device ? connection : undefined;
  }

  #count(move: Move, by: number): void {
    this.#moved[move] = (this.#moved[move] ?? 0) + by;
  }
}
