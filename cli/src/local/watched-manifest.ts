import { type Manifest, parseManifest } from "@pushfleet/operator";
import { localNotices, readAtStart, withStarted } from "./configurations.js";
import { describeUnusable, type ReadText, readText } from "./manifest-file.js";

export interface WatchedManifestOptions {
  readonly file: string;
  /** What the file said when the fleet was started. */
  readonly manifest: Manifest;
  /** Lines for a person: what was applied, what is wrong with an edit. */
  readonly report: (line: string) => void;
}

/** The manifest a fleet follows: its file, looked at again and again. Saving an edit is `kubectl apply`. */
export class WatchedManifest {
  readonly #options: WatchedManifestOptions;
  /** What the file held at the last look, and the last time it was judged. */
  #seen: ReadText;
  #judged: ReadText;
  #current: Manifest;

  constructor(options: WatchedManifestOptions) {
    this.#options = options;
    this.#current = options.manifest;
    this.#seen = readText(options.file);
    this.#judged = this.#seen;
  }

  /** The last one that was right, as far as a running fleet can follow it. */
  get current(): Manifest {
    return this.#current;
  }

  /** Looks at the file. An edit is applied when it is right, and changes nothing when it is not; it is judged when two looks in a row found
   *  the same, for a program that saves may have written half of it. */
  reread(): "unchanged" | "applied" | "refused" {
    const { file, manifest, report } = this.#options;
    const now = readText(file);
    const isSaved = isSame(now, this.#seen);
    this.#seen = now;
    if (!isSaved || isSame(now, this.#judged)) return "unchanged";
    this.#judged = now;
    const read = now.kind === "text" ? parseManifest(now.text) : now;
    if (read.kind !== "manifest") {
      for (const line of describeUnusable(file, read)) report(line);
      report("the edit was not applied: what runs goes on as it was");
      return "refused";
    }
    if (read.manifest.name !== manifest.name) {
      report(`metadata.name: "${read.manifest.name}" is not right, expected "${manifest.name}": a running fleet keeps its name`);
      report("the edit was not applied: what runs goes on as it was");
      return "refused";
    }
    const told = localNotices(this.#current);
    this.#current = withStarted(read.manifest, manifest);
    report(`${file} was applied`);
    for (const notice of localNotices(read.manifest)) if (!told.includes(notice)) report(notice);
    const started = readAtStart(manifest);
    for (const [path, value] of readAtStart(read.manifest))
      if (started.get(path) !== value) report(`${path}: is read at the start, restart pushfleet local for this change`);
    return "applied";
  }
}

function isSame(a: ReadText, b: ReadText): boolean {
  return a.kind === "text" ? b.kind === "text" && a.text === b.text : b.kind === "unreadable";
}
