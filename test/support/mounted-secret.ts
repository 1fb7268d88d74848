import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A folder that changes as a kubelet changes a mounted secret: the files are links into `..data`, a link that is swapped for one to a new folder. */
export class MountedSecret {
  readonly #folder: string;
  #versions = 0;

  constructor(folder: string, files: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.write(files);
    for (const name of Object.keys(files)) symlinkSync(join("..data", name), join(folder, name));
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  /** All files anew, in one step. */
  write(files: Readonly<Record<string, string>>): void {
    this.#versions += 1;
    const version = `..version_${this.#versions}`;
    mkdirSync(join(this.#folder, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#folder, version, name), text);
    const link = join(this.#folder, "..data");
    const former = this.#versions === 1 ? undefined : readlinkSync(link);
    symlinkSync(version, `${link}_next`);
    renameSync(`${link}_next`, link);
    if (former !== undefined) rmSync(join(this.#folder, former), { recursive: true });
  }
}
