import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Files } from "./volume-content.js";

/**
 * A folder whose files change all at once, as a kubelet's do: `file` → `..data/file`, `..data` → `..<time>`. A new content is a new
 * folder, and one rename of the link `..data` puts it in place.
 */
export class VolumeFolder {
  readonly path: string;
  #files: Files | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Writes `files` if they are others than last time. */
  async write(files: Files, mode: number): Promise<void> {
    if (this.#files !== undefined && areSame(this.#files, files)) return;
    const version = `..${Date.now()}-${randomBytes(4).toString("hex")}`;
    for (const [path, content] of files) {
      const file = join(this.path, version, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content, { mode });
    }
    await mkdir(join(this.path, version), { recursive: true });
    await link(version, join(this.path, "..data"));
    const tops = new Set([...files.keys()].map((path) => path.split("/")[0] ?? path));
    for (const top of tops) await link(join("..data", top), join(this.path, top));
    const leftOver = (await readdir(this.path)).filter((name) => name !== "..data" && name !== version && !tops.has(name));
    for (const name of leftOver) await rm(join(this.path, name), { recursive: true, force: true });
    this.#files = files;
  }
}

/** A link, also where there is one: there is no moment without. */
async function link(target: string, path: string): Promise<void> {
  const temporary = `${path}_tmp`;
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, path);
}

const areSame = (a: Files, b: Files): boolean => a.size === b.size && [...a].every(([path, content]) => b.get(path)?.equals(content));
