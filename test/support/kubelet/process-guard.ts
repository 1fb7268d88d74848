import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";

/** Reads "add 12" and "remove 12"; when its input ends, however that came, kills the groups that are left and removes the folder $1. */
const script = `
groups=" "
while read -r word id; do
  case $word in
    add) groups="$groups$id " ;;
    remove) groups="\${groups%% $id *} \${groups#* $id }" ;;
  esac
done
for id in $groups; do kill -9 "-$id" 2>/dev/null; done
rm -rf -- "$1"
`;

/**
 * Ends process groups, and removes a folder, when this process is gone, even by SIGKILL. The kernel's own means (`startProcess` uses it) reaches
 * only our children: a frozen child's children would stay for ever, as they cannot see that their parent is gone.
 */
export class ProcessGuard {
  readonly #shell: ChildProcessByStdio<Writable, null, null>;

  constructor(folder: string) {
    this.#shell = spawn("/bin/sh", ["-c", script, "process-guard", folder], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#shell.stdin.on("error", () => {}); // it ended before us: then it has done what it does
    this.#shell.unref();
  }

  add(group: number): void {
    this.#shell.stdin.write(`add ${group}\n`);
  }

  /** The group has ended: its number may be another's soon. */
  remove(group: number): void {
    this.#shell.stdin.write(`remove ${group}\n`);
  }

  async stop(): Promise<void> {
    if (this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const exited = once(this.#shell, "exit");
    this.#shell.stdin.end();
    await exited;
  }
}
