import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { PodPlace } from "./downward.js";
import { type Emulation, emulateFile } from "./emulated-text.js";
import type { Pod, Volume } from "./objects.js";
import { type ObjectLookup, type VolumeContent, volumeContent } from "./volume-content.js";
import { VolumeFolder } from "./volume-folder.js";

export interface PodVolumesOptions {
  readonly pod: Pod;
  readonly place: PodPlace;
  /** The pod's own; must exist. */
  readonly folder: string;
  readonly lookup: ObjectLookup;
  readonly nameServer: string;
}

/** The volumes of one pod as folders of this machine. */
export class PodVolumes {
  readonly #options: PodVolumesOptions;
  readonly #folders = new Map<string, VolumeFolder>();
  readonly emulation: Emulation;
  #writing: Promise<string | undefined> = Promise.resolve(undefined);

  constructor(options: PodVolumesOptions) {
    this.#options = options;
    const { pod, place, nameServer } = options;
    this.emulation = { mounts: this.#mounts(pod), podIp: place.podIp, nameServer };
  }

  /** Writes what has changed, one call after the other. Answers what is missing, if anything is: then that volume stays as it was. */
  write(pod: Pod): Promise<string | undefined> {
    this.#writing = this.#writing.then(() => this.#write(pod));
    return this.#writing;
  }

  /** Resolves when no write is under way. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => {}); // whoever asked for that write was told
  }

  async #write(pod: Pod): Promise<string | undefined> {
    let missing: string | undefined;
    for (const volume of pod.spec?.volumes ?? []) {
      const content = this.#content(volume, pod);
      if (content.kind === "missing") missing ??= `MountVolume.SetUp failed for volume "${volume.name}" : ${content.what}`;
      if (content.kind !== "files" && content.kind !== "folder") continue;
      const path = this.#pathOf(volume.name);
      await mkdir(path, { recursive: true });
      if (content.kind === "folder") continue;
      const folder = this.#folders.get(volume.name) ?? new VolumeFolder(path);
      this.#folders.set(volume.name, folder);
      await folder.write(content.files, content.mode);
    }
    return missing;
  }

  #content(volume: Volume, pod: Pod): VolumeContent {
    const { place, lookup } = this.#options;
    return volumeContent(volume, { pod, place, lookup, emulateFile: (name, text) => emulateFile(name, text, this.emulation) });
  }

  #pathOf(volume: string): string {
    return join(this.#options.folder, volume);
  }

  /** Of all containers together: they would have to mount different things at one path to see each other's. */
  #mounts(pod: Pod): ReadonlyMap<string, string> {
    const volumes = new Map((pod.spec?.volumes ?? []).map((volume) => [volume.name, volume]));
    const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
    const mounts = new Map<string, string>();
    for (const { name, mountPath, subPath = "" } of containers.flatMap((container) => container.volumeMounts ?? [])) {
      const volume = volumes.get(name);
      if (volume === undefined || name.startsWith("kube-api-access-")) continue;
      mounts.set(mountPath.replace(/(?<=.)\/$/, ""), join(volume.hostPath?.path ?? this.#pathOf(name), subPath));
    }
    return mounts;
  }
}
