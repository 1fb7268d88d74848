import { type Fault, isMapping } from "@pushfleet/protocol";
import { nearestName } from "@pushfleet/service";
import { joinField } from "./schema.js";

/** Fields of a Kubernetes object's metadata that a person may send; the API server refuses others, and fills most of these in itself. */
const known = [
  "name",
  "generateName",
  "namespace",
  "labels",
  "annotations",
  "finalizers",
  "ownerReferences",
  "resourceVersion",
  "uid",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "selfLink",
];

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const qualifiedName = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** All annotations of one object together, names and values. Source: k8s.io/apimachinery, TotalAnnotationSizeLimitB. */
const annotationBytesMax = 256 * 1024;

/** What the API server asks of any object's metadata; its `name` is checked by the CRD's schema. */
export function* metadataFaults(metadata: Readonly<Record<string, unknown>>): Iterable<Fault> {
  for (const name of Object.keys(metadata)) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    const expected = nearest === undefined ? `one of ${known.join(", ")}` : `"${nearest}" (there is no field "${name}")`;
    yield { path: joinField("metadata", name), value: "", expected };
  }
  const { namespace, labels, annotations } = metadata;
  if (namespace !== undefined && (typeof namespace !== "string" || !dnsLabel.test(namespace)))
    yield {
      path: "metadata.namespace",
      value: namespace,
      expected: "a DNS label: 1 to 63 of [a-z0-9-], beginning and ending with a letter or digit",
    };
  yield* textsFaults("metadata.labels", labels, (value) => labelValue.test(value), "at most 63 of [A-Za-z0-9-_.], inner ones at both ends");
  yield* textsFaults("metadata.annotations", annotations, () => true, "");
  if (isMapping(annotations) && Buffer.byteLength(Object.entries(annotations).flat().join("")) > annotationBytesMax)
    yield { path: "metadata.annotations", value: "a mapping", expected: `at most ${annotationBytesMax} bytes in all` };
}

function* textsFaults(path: string, value: unknown, right: (value: string) => boolean, expected: string): Iterable<Fault> {
  if (value === undefined) return;
  if (!isMapping(value)) return yield { path, value: shown(value), expected: "a mapping of text to text" };
  for (const [name, text] of Object.entries(value)) {
    const where = joinField(path, name);
    if (!qualifiedName.test(name))
      yield { path: where, value: name, expected: "a name of [A-Za-z0-9-_.], with a domain and / in front if any" };
    if (typeof text !== "string")
      yield { path: where, value: shown(text), expected: "a string (in quotes, if it looks like a number or a boolean)" };
    else if (!right(text)) yield { path: where, value: text, expected };
  }
}

function shown(value: unknown): unknown {
  if (Array.isArray(value)) return `${value.length} elements`;
  return isMapping(value) ? "a mapping" : value;
}
