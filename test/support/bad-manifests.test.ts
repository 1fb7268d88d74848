import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readSchema } from "../../operator/scripts/generate-types.mjs";
import { badManifests, goodManifests } from "./bad-manifests.js";
import { describeBound, isSameBound, schemaBounds } from "./schema-bounds.js";
import { statusBounds } from "./status-bounds.js";

const bounds = schemaBounds(readSchema(readFileSync(new URL("../../crds/pushgateway.yaml", import.meta.url), "utf8")));
const rows = [...badManifests, ...statusBounds.bad];

test("every CEL rule and every bound of the API is broken by a row of the table", () => {
  expect(bounds.length).toBeGreaterThan(400);
  expect(bounds.filter(({ keyword }) => keyword === "rule").length).toBeGreaterThan(15);
  const uncovered = bounds.filter((bound) => !rows.some((row) => isSameBound(row.breaks, bound)));
  expect(uncovered.map(describeBound)).toEqual([]);
});

test("every row breaks one rule or bound that the API has, and says the number that stands there", () => {
  const stale = rows.filter(
    ({ breaks }) => breaks.keyword !== "document" && bounds.filter((bound) => isSameBound(breaks, bound)).length !== 1,
  );
  expect(stale.map((row) => `${row.name}: ${describeBound(row.breaks)}`)).toEqual([]);
});

test("no two rows are the same, by name or by manifest", () => {
  const twice = (values: readonly string[]): readonly string[] => values.filter((value, index) => values.indexOf(value) !== index);
  expect(twice(rows.map((row) => `${row.name} ${row.manifest}`))).toEqual([]);
  const good = new Set(goodManifests.map((row) => row.manifest));
  expect(rows.filter((row) => good.has(row.manifest)).map((row) => row.name)).toEqual([]);
});
