interface Waiting {
  readonly generation: number;
  readonly resolve: (atMs: number) => void;
}

/** When the operator first writes for a fleet whose spec was changed: the certificate of a new pod, or a status of the new generation. */
export class FirstWrites {
  readonly #waiting = new Map<string, Waiting>();

  /** Resolves with the time (performance.now) at which the first such write is seen. */
  next(namespace: string, fleet: string, generation: number): Promise<number> {
    return new Promise((resolve) => this.#waiting.set(`${namespace}/${fleet}`, { generation, resolve }));
  }

  secretMade(namespace: string, name: string): void {
    const fleet = /^(fleet-\d+)-default-\d+-[0-9a-f]{8}-tls$/.exec(name)?.[1];
    if (fleet !== undefined) this.#end(`${namespace}/${fleet}`);
  }

  statusWritten(namespace: string, fleet: string, observedGeneration: number): void {
    const key = `${namespace}/${fleet}`;
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined && observedGeneration >= waiting.generation) this.#end(key);
  }

  #end(key: string): void {
    this.#waiting.get(key)?.resolve(performance.now());
    this.#waiting.delete(key);
  }
}
