/** Metrics of one instance in Prometheus' text format, and the labels that tell it apart from the others. */
export interface InstanceMetrics {
  readonly labels: Readonly<Record<string, string>>;
  readonly text: string;
}

interface Family {
  readonly head: string[];
  readonly samples: string[];
}

/** One exposition for several instances in one process: each family's HELP and TYPE once, its samples together, labelled.
 *  Source: Prometheus text format 0.0.4, "all lines for a given metric must be provided as one single group". */
export function mergeMetrics(instances: readonly InstanceMetrics[]): string {
  const families = new Map<string, Family>();
  for (const { labels, text } of instances) {
    const added = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    for (const [name, family] of parseFamilies(text)) {
      const merged = families.get(name) ?? { head: family.head, samples: [] };
      merged.samples.push(...family.samples.map((sample) => addLabels(sample, added)));
      families.set(name, merged);
    }
  }
  return `${[...families.values()].flatMap((family) => [...family.head, ...family.samples]).join("\n")}\n`;
}

/** Samples belong to the family whose HELP or TYPE line came last (prom-client writes both for each). */
function parseFamilies(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, Family>();
  let current: Family | undefined;
  for (const line of text.split("\n")) {
    const head = /^# (?:HELP|TYPE) (\S+)/.exec(line)?.[1];
    if (head !== undefined) {
      current = families.get(head) ?? { head: [], samples: [] };
      current.head.push(line);
      families.set(head, current);
    } else if (line !== "" && !line.startsWith("#")) current?.samples.push(line);
  }
  return families;
}

function addLabels(sample: string, added: readonly string[]): string {
  if (added.length === 0) return sample;
  const brace = sample.indexOf("{");
  const space = sample.indexOf(" ");
  if (brace < 0 || brace > space) return `${sample.slice(0, space)}{${added.join(",")}}${sample.slice(space)}`;
  const separator = sample[brace + 1] === "}" ? "" : ",";
  return `${sample.slice(0, brace + 1)}${added.join(",")}${separator}${sample.slice(brace + 1)}`;
}
