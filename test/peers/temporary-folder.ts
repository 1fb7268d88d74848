import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryFolder {
  readonly path: string;
  /** Removes it with all that is in it; a second time does nothing. */
  remove(): Promise<void>;
}

const paths = new Set<string>();
process.on("exit", () => {
  for (const path of paths) rmSync(path, { recursive: true, force: true });
});

/** Makes an empty folder whose name has `purpose` in it. What nobody has removed goes when this process exits. */
export async function temporaryFolder(purpose: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `pushfleet-${purpose}-`));
  paths.add(path);
  const remove = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true });
    paths.delete(path);
  };
  return { path, remove };
}
