import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fieldText, type PodPlace } from "./downward.js";
import { type Emulation, emulate, expandVariables } from "./emulated-text.js";
import type { Container, Pod } from "./objects.js";
import type { ObjectLookup } from "./volume-content.js";

export type Variables = Readonly<Record<string, string>>;

export type Environment =
  | { readonly kind: "variables"; readonly variables: Variables }
  /** In the words of CreateContainerConfigError. */
  | { readonly kind: "missing"; readonly what: string };

class MissingSource extends Error {}

/** A container's variables as Kubernetes gives them; later ones may use earlier ones. */
export function containerEnvironment(container: Container, pod: Pod, place: PodPlace, lookup: ObjectLookup): Environment {
  const variables: Record<string, string> = { HOSTNAME: pod.spec?.hostname ?? pod.metadata.name };
  const namespace = pod.metadata.namespace ?? "";
  try {
    for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
      const texts =
        configMapRef !== undefined
          ? keysOf(`configmap "${configMapRef.name}"`, configMapRef, lookup.configMap(namespace, configMapRef.name ?? "")?.data)
          : decoded(keysOf(`secret "${secretRef?.name}"`, secretRef, lookup.secret(namespace, secretRef?.name ?? "")?.data));
      for (const [key, text] of Object.entries(texts)) variables[prefix + key] = text;
    }
    for (const { name, value, valueFrom } of container.env ?? []) {
      const { fieldRef, configMapKeyRef, secretKeyRef } = valueFrom ?? {};
      const text =
        value !== undefined || valueFrom === undefined
          ? expandVariables(value ?? "", variables)
          : fieldRef !== undefined
            ? fieldText(fieldRef.fieldPath, pod, place)
            : configMapKeyRef !== undefined
              ? keyOf(`configmap "${configMapKeyRef.name}"`, configMapKeyRef, lookup.configMap(namespace, configMapKeyRef.name ?? "")?.data)
              : secretKeyRef !== undefined
                ? keyOf(`secret "${secretKeyRef.name}"`, secretKeyRef, decoded(lookup.secret(namespace, secretKeyRef.name ?? "")?.data))
                : unknownSource(name);
      if (text !== undefined) variables[name] = text;
    }
  } catch (error) {
    if (error instanceof MissingSource) return { kind: "missing", what: error.message };
    throw error;
  }
  return { kind: "variables", variables };
}

type Data = Readonly<Record<string, string>>;

function keysOf(what: string, source: { readonly optional?: boolean } | undefined, data: Data | undefined): Data {
  if (data === undefined && source?.optional !== true) throw new MissingSource(`${what} not found`);
  return data ?? {};
}

function keyOf(what: string, source: { readonly key: string; readonly optional?: boolean }, data: Data | undefined): string | undefined {
  const text = data?.[source.key];
  if (text !== undefined || source.optional === true) return text;
  throw new MissingSource(data === undefined ? `${what} not found` : `couldn't find key ${source.key} in ${what}`);
}

function decoded<T extends Data | undefined>(data: T): T {
  if (data === undefined) return data;
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64").toString()])) as T;
}

function unknownSource(name: string): never {
  throw new MissingSource(`the test kubelet does not know where the variable ${name} comes from`);
}

/**
 * The words that start a container here. `program` stands for the image's entrypoint. A `command` says it in the words of the image: its first
 * word is dropped for `program`, unless it is an absolute path of this machine, which then runs as it stands.
 */
export function containerCommand(
  container: Container,
  program: readonly string[],
  variables: Variables,
  emulation: Emulation,
): readonly string[] {
  const [first, ...rest] = container.command ?? [];
  const own = first?.startsWith("/") && existsSync(first) && basename(first) !== "node" ? [first] : program;
  return [...own, ...[...rest, ...(container.args ?? [])].map((word) => emulate(expandVariables(word, variables), emulation))];
}
