import { limits } from "@pushfleet/protocol";

/** What the wheel keeps on each connection: three small integers, written by the wheel alone. Start with `idleBeat`'s values. */
export interface Beating {
  /** −1 while it is on no wheel. */
  beatSlot: number;
  beatPosition: number;
  /** Turn of the wheel at its last pong. */
  pongTurn: number;
}

/** Values to start a connection with: not on the wheel. */
export const idleBeat: Readonly<Beating> = { beatSlot: -1, beatPosition: -1, pongTurn: 0 };

export interface HeartbeatRules {
  readonly intervalMs: number;
  /** From the last pong. */
  readonly timeoutMs: number;
}

/** Pings each connection once an interval, spread over slots of a second (`limits.heartbeatSlots` for 30 s; an interval under 10 s has
 *  `limits.heartbeatSlotsMin` shorter ones). Adding and removing are O(1), a tick allocates nothing.
 *
 *  Ages are counted in turns, not in ms: a pong costs no look at the clock, and a stall of our own loop, in which nobody's pongs were read,
 *  counts as one turn or a few and closes nobody. */
export class HeartbeatWheel<Connection extends Beating> {
  /** Call `tick` this often. */
  readonly slotMs: number;
  readonly #slots: Connection[][] = [];
  readonly #timeoutTurns: number;
  /** A slot's time-outs are looked at this many turns after its pings: when pongs answered at once would be `timeoutMs` old. */
  readonly #timeoutLag: number;
  readonly #turnsMax: number;
  #turn = 0;
  #at = 0;
  #tickedAtMs: number;
  #size = 0;

  constructor(rules: HeartbeatRules, nowMs: number) {
    const slots = Math.max(limits.heartbeatSlotsMin, Math.round(rules.intervalMs / 1000));
    for (let i = 0; i < slots; i++) this.#slots.push([]);
    this.slotMs = rules.intervalMs / slots;
    this.#timeoutTurns = Math.ceil(rules.timeoutMs / this.slotMs);
    this.#timeoutLag = (this.#timeoutTurns + 1) % slots;
    this.#turnsMax = Math.max(1, Math.round(Math.min(2000, rules.intervalMs / 2) / this.slotMs));
    this.#tickedAtMs = nowMs;
  }

  get size(): number {
    return this.#size;
  }

  /** Its first ping comes an interval later; opening counts as a pong. */
  add(connection: Connection): void {
    const slot = this.#slots[this.#at] ?? [];
    connection.beatSlot = this.#at;
    connection.beatPosition = slot.length;
    connection.pongTurn = this.#turn;
    slot.push(connection);
    this.#size += 1;
  }

  /** Safe for one that is not on the wheel, and from within `tick`. */
  remove(connection: Connection): void {
    const slot = this.#slots[connection.beatSlot];
    if (slot === undefined) return;
    const last = slot.pop();
    if (last !== undefined && last !== connection) {
      slot[connection.beatPosition] = last;
      last.beatPosition = connection.beatPosition;
    }
    connection.beatSlot = -1;
    connection.beatPosition = -1;
    this.#size -= 1;
  }

  /** It answered a ping. */
  pong(connection: Connection): void {
    connection.pongTurn = this.#turn;
  }

  /** Moves on to `nowMs` (monotonic). `ping` gets those whose turn it is, `expire` those without a pong for `timeoutMs`; either may remove
   *  connections. Late ticks catch up, each slot at most once. */
  tick(nowMs: number, ping: (connection: Connection) => void, expire: (connection: Connection) => void): void {
    const due = Math.floor((nowMs - this.#tickedAtMs) / this.slotMs);
    if (due <= 0) return;
    this.#tickedAtMs += due * this.slotMs;
    this.#turn += Math.min(due, this.#turnsMax);
    for (let i = Math.min(due, this.#slots.length); i > 0; i--) {
      this.#at = (this.#at + 1) % this.#slots.length;
      this.#expire(expire);
      this.#ping(ping);
    }
  }

  #expire(expire: (connection: Connection) => void): void {
    const count = this.#slots.length;
    const slot = this.#slots[(this.#at + count - this.#timeoutLag) % count] ?? [];
    for (let i = slot.length - 1; i >= 0; i--) {
      const connection = slot[i];
      if (connection !== undefined && this.#turn - connection.pongTurn > this.#timeoutTurns) expire(connection);
    }
  }

  /** Backwards: a removal moves one that was already pinged into the hole. */
  #ping(ping: (connection: Connection) => void): void {
    const slot = this.#slots[this.#at] ?? [];
    for (let i = slot.length - 1; i >= 0; i--) {
      const connection = slot[i];
      if (connection !== undefined) ping(connection);
    }
  }
}
