import { setTimeout as delay } from "node:timers/promises";
import type { Image } from "./container-run.js";

/** What starts an image's program: `[process.execPath, "gateway/bin/pushfleet-gateway.js"]`. */
export type ImageWords = readonly string[];

/** The registry of a test kubelet. Changes hold for containers that start later. */
export class Images {
  readonly #images: Map<string, ImageWords>;
  readonly #failing = new Set<string>();
  readonly #delaysMs = new Map<string, number>();

  constructor(images: Readonly<Record<string, ImageWords>>) {
    this.#images = new Map(Object.entries(images));
  }

  /** A new image, or another content under a name that is there. */
  set(image: string, words: ImageWords): void {
    this.#images.set(image, words);
  }

  /** It cannot be pulled any more, until `repair`. */
  fail(image: string): void {
    this.#failing.add(image);
  }

  repair(image: string): void {
    this.#failing.delete(image);
  }

  /** Each container of it takes so long to start; 0 takes it back. */
  slow(image: string, delayMs: number): void {
    this.#delaysMs.set(image, delayMs);
  }

  async pull(image: string): Promise<Image> {
    await delay(this.#delaysMs.get(image) ?? 0);
    const words = this.#failing.has(image) ? undefined : this.#images.get(image);
    if (words === undefined) return { kind: "failed", message: `failed to pull and unpack image "${image}": not found` };
    return { kind: "image", words };
  }
}
