/** Where this client is in its user's stream: the saved cursor and the rules that move it. Cursors compare as text. */
export class Position {
  #saved: string | undefined;
  #gapWhileSyncing: string | undefined;

  constructor(saved: string | undefined) {
    this.#saved = saved;
  }

  /** What the next `sync` presents as `last_seen`; undefined: the newest 100 unread. */
  get saved(): string | undefined {
    return this.#saved;
  }

  /** A live frame on a connection: only once that connection has synced does it move the cursor. */
  live(cursor: string, synced: boolean): void {
    if (synced) this.#forward(cursor);
  }

  /** A page arrived. Returns whether another sync must follow at once: a gap came while this one ran. */
  page(cursor: string, hasMore: boolean): "go_on" | "done" | "sync_again" {
    this.#forward(cursor);
    if (hasMore) return "go_on";
    if (this.#gapWhileSyncing === undefined) return "done";
    this.#back(this.#gapWhileSyncing);
    this.#gapWhileSyncing = undefined;
    return "sync_again";
  }

  /** Something after `after` was not sent. Never moves the cursor forward. While a sync runs its pages would move past the gap, so
   *  the gap waits for its end. */
  gap(after: string, syncing: boolean): "sync_now" | "later" {
    if (!syncing) {
      this.#back(after);
      return "sync_now";
    }
    if (this.#gapWhileSyncing === undefined || after < this.#gapWhileSyncing) this.#gapWhileSyncing = after;
    return "later";
  }

  /** A connection ended before its sync did: what it owed is owed by the next. */
  interrupted(): void {
    if (this.#gapWhileSyncing !== undefined) this.#back(this.#gapWhileSyncing);
    this.#gapWhileSyncing = undefined;
  }

  /** The server does not know our cursor: start again from the newest unread. */
  forget(): void {
    this.#saved = undefined;
    this.#gapWhileSyncing = undefined;
  }

  #forward(cursor: string): void {
    if (this.#saved === undefined || cursor > this.#saved) this.#saved = cursor;
  }

  #back(cursor: string): void {
    if (this.#saved === undefined || cursor < this.#saved) this.#saved = cursor;
  }
}
