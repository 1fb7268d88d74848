import { expect, test } from "vitest";
import { mergeMetrics } from "./merge-metrics.js";

test("each family stands once, with the samples of all instances, labelled", () => {
  const text = (n: number) =>
    `# HELP a_total of a\n# TYPE a_total counter\na_total ${n}\n\n# HELP b of b\n# TYPE b histogram\nb_bucket{le="1",x="} "} ${n}\nb_sum ${n}\n`;
  expect(
    mergeMetrics([
      { labels: { gateway: "gw-1" }, text: text(1) },
      { labels: { gateway: "gw-2" }, text: text(2) },
      { labels: {}, text: "# HELP c of c\n# TYPE c gauge\nc 3\n" },
    ]),
  ).toBe(
    `# HELP a_total of a
# TYPE a_total counter
a_total{gateway="gw-1"} 1
a_total{gateway="gw-2"} 2
# HELP b of b
# TYPE b histogram
b_bucket{gateway="gw-1",le="1",x="} "} 1
b_sum{gateway="gw-1"} 1
b_bucket{gateway="gw-2",le="1",x="} "} 2
b_sum{gateway="gw-2"} 2
# HELP c of c
# TYPE c gauge
c 3
`,
  );
});
