import { fieldText, type PodPlace } from "./downward.js";
import type { ConfigMap, Pod, Secret, Volume } from "./objects.js";

/** The objects that pods refer to, as last seen. */
export interface ObjectLookup {
  configMap(namespace: string, name: string): ConfigMap | undefined;
  secret(namespace: string, name: string): Secret | undefined;
}

/** A file's path in its volume → its content. */
export type Files = ReadonlyMap<string, Buffer>;

export type VolumeContent =
  | { readonly kind: "files"; readonly files: Files; readonly mode: number }
  /** An empty folder that the pod may write to. */
  | { readonly kind: "folder" }
  /** A path of this machine. */
  | { readonly kind: "path"; readonly path: string }
  /** Left out: its mounts lead nowhere. */
  | { readonly kind: "none" }
  /** In the words of a kubelet's FailedMount. */
  | { readonly kind: "missing"; readonly what: string };

export interface VolumeContext {
  readonly pod: Pod;
  readonly place: PodPlace;
  readonly lookup: ObjectLookup;
  /** What becomes of the text of a ConfigMap's file. */
  readonly emulateFile: (name: string, text: string) => string;
}

type Sources = NonNullable<NonNullable<Volume["projected"]>["sources"]>[number];
type KeySource = {
  readonly name?: string;
  readonly optional?: boolean;
  readonly items?: readonly { readonly key: string; readonly path: string }[];
};

const MODE_DEFAULT = 0o644;

/** What a volume holds now. Throws for a kind of volume that the test kubelet does not know. */
export function volumeContent(volume: Volume, context: VolumeContext): VolumeContent {
  const { configMap, secret, projected, downwardAPI } = volume;
  // The admission of service accounts gives each pod one; what it holds depends on controllers a test may not run, and no part needs it.
  if (volume.name.startsWith("kube-api-access-")) return { kind: "none" };
  if (volume.emptyDir !== undefined) return { kind: "folder" };
  if (volume.hostPath !== undefined) return { kind: "path", path: volume.hostPath.path };
  const mode = (configMap ?? secret ?? projected ?? downwardAPI)?.defaultMode ?? MODE_DEFAULT;
  const sources: readonly Sources[] | undefined =
    projected !== undefined
      ? (projected.sources ?? [])
      : configMap !== undefined
        ? [{ configMap }]
        : secret !== undefined
          ? [{ secret: { ...secret, name: secret.secretName ?? "" } }]
          : downwardAPI !== undefined
            ? [{ downwardAPI }]
            : undefined;
  if (sources === undefined) throw new Error(`the test kubelet has no volumes such as ${JSON.stringify(volume)}`);
  const files = new Map<string, Buffer>();
  for (const source of sources) {
    const what = addSource(source, context, files);
    if (what !== undefined) return { kind: "missing", what };
  }
  return { kind: "files", files, mode };
}

/** Answers what is missing. */
function addSource(source: Sources, context: VolumeContext, files: Map<string, Buffer>): string | undefined {
  const { pod, place, lookup, emulateFile } = context;
  const namespace = pod.metadata.namespace ?? "";
  for (const { path, fieldRef } of source.downwardAPI?.items ?? []) {
    files.set(path, Buffer.from(fieldText(fieldRef?.fieldPath ?? "", pod, place)));
  }
  if (source.configMap !== undefined) {
    const name = source.configMap.name ?? "";
    const object = lookup.configMap(namespace, name);
    const texts = Object.entries(object?.data ?? {}).map(([key, text]) => [key, Buffer.from(emulateFile(key, text))] as const);
    const binary = decode(object?.binaryData);
    return addKeys(`configmap "${name}"`, source.configMap, object === undefined ? undefined : new Map([...texts, ...binary]), files);
  }
  if (source.secret !== undefined) {
    const name = source.secret.name ?? "";
    const object = lookup.secret(namespace, name);
    return addKeys(`secret "${name}"`, source.secret, object === undefined ? undefined : new Map(decode(object.data)), files);
  }
  return undefined;
}

const decode = (data: Readonly<Record<string, string>> = {}): readonly (readonly [string, Buffer])[] =>
  Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64")]);

function addKeys(what: string, source: KeySource, found: Files | undefined, files: Map<string, Buffer>): string | undefined {
  if (found === undefined) return source.optional === true ? undefined : `${what} not found`;
  const items = source.items ?? [...found.keys()].map((key) => ({ key, path: key }));
  for (const { key, path } of items) {
    const content = found.get(key);
    if (content !== undefined) files.set(path, content);
    else if (source.optional !== true) return `${what} references non-existent config key: ${key}`;
  }
  return undefined;
}
