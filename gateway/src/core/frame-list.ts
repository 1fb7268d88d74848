/** A node is in one list at most. */
export interface ListNode<Value> {
  readonly value: Value;
  readonly sinceMs: number;
  previous: ListNode<Value> | undefined;
  next: ListNode<Value> | undefined;
}

/** A doubly linked list, oldest first: from a queue of waiting frames any one can be taken out at once. */
export class FrameList<Value> {
  #oldest: ListNode<Value> | undefined;
  #newest: ListNode<Value> | undefined;

  get oldest(): ListNode<Value> | undefined {
    return this.#oldest;
  }

  append(value: Value, sinceMs: number): ListNode<Value> {
    const node: ListNode<Value> = { value, sinceMs, previous: this.#newest, next: undefined };
    if (this.#newest === undefined) this.#oldest = node;
    else this.#newest.next = node;
    this.#newest = node;
    return node;
  }

  remove(node: ListNode<Value>): void {
    if (node.previous === undefined) this.#oldest = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#newest = node.previous;
    else node.next.previous = node.previous;
    node.previous = undefined;
    node.next = undefined;
  }
}
