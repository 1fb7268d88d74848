/** For a loop that has something to do from time to time: sleeps until it is woken, or for so long. A wake while nobody sleeps is kept. */
export class Wakeup {
  #isPending = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#isPending = true;
    this.#resolve?.();
  }

  async sleep(ms?: number): Promise<void> {
    if (!this.#isPending) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
        if (ms !== undefined) timer = setTimeout(resolve, ms);
      });
      clearTimeout(timer);
      this.#resolve = undefined;
    }
    this.#isPending = false;
  }
}
