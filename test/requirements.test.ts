import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { missingReferences, parseRequirements, type Requirement, testNames } from "./support/requirements.js";

const root = new URL("..", import.meta.url).pathname;
const { rows, faults } = parseRequirements(readFileSync(new URL("../docs/requirements.md", import.meta.url), "utf8"));

describe("docs/requirements.md", () => {
  test("every row has an id, a statement, a verdict and a test or `open`", () => {
    expect(faults).toEqual([]);
    expect(rows.length).toBeGreaterThan(100);
  });

  test("every decision record and every test that a row names exists", () => {
    expect(missingReferences(rows, root)).toEqual([]);
  });

  test("no statement stands there twice", () => {
    const seen = rows.map((row) => row.statement);
    expect(seen.filter((statement, index) => seen.indexOf(statement) !== index)).toEqual([]);
  });
});

describe("the parser of requirements", () => {
  const table = (...lines: readonly string[]): string =>
    ["| id | statement | verdict | test |", "| --- | --- | --- | --- |", ...lines].join("\n");

  test("a good row is read with all its parts", () => {
    const parsed = parseRequirements(table("| R-001 | `EX 60` | replaced by ADR-0002 | test/requirements.test.ts › a good row |"));
    expect(parsed.faults).toEqual([]);
    expect(parsed.rows).toEqual([
      {
        id: "R-001",
        line: 3,
        statement: "`EX 60`",
        verdict: { kind: "replaced", record: 2 },
        proof: { kind: "test", file: "test/requirements.test.ts", name: "a good row" },
      },
    ]);
  });

  test.each([
    ["a missing cell", "| R-001 | 30 s | kept |", "3 cells"],
    ["a fifth cell", "| R-001 | a | b | kept | open |", "5 cells"],
    ["an id of another form", "| R-1 | 30 s | kept | open |", 'the id is "R-1"'],
    ["a statement that is empty", "| R-001 |  | kept | open |", "no statement"],
    ["a verdict that is neither", "| R-001 | 30 s | maybe | open |", 'the verdict is "maybe"'],
    ["a record without its four digits", "| R-001 | 30 s | replaced by ADR-2 | open |", "ADR-2"],
    ["an empty test", "| R-001 | 30 s | kept |  |", 'the test is ""'],
    ["a test without a name", "| R-001 | 30 s | kept | a.test.ts |", 'the test is "a.test.ts"'],
    ["a test in a file that is none", "| R-001 | 30 s | kept | src/a.ts › b |", "src/a.ts › b"],
    ["an id that is left out", "| R-002 | 30 s | kept | open |", "expected R-001"],
  ])("%s is a fault", (_what, line, expected) => {
    const [fault, ...others] = parseRequirements(table(line)).faults;
    expect(others).toEqual([]);
    expect(fault).toContain("line 3");
    expect(fault).toContain(expected);
  });

  test("an id that comes twice is a fault", () => {
    expect(parseRequirements(table("| R-001 | a | kept | open |", "| R-001 | b | kept | open |")).faults).toHaveLength(1);
  });

  test("a document without rows is a fault", () => {
    expect(parseRequirements("# nothing here\n").faults).toHaveLength(1);
    expect(parseRequirements(table()).faults).toHaveLength(1);
  });

  const row = (part: Partial<Requirement>): Requirement => ({
    id: "R-001",
    line: 1,
    statement: "30 s",
    verdict: { kind: "kept" },
    proof: { kind: "open" },
    ...part,
  });

  test("a record, a file or a test that does not exist is named", () => {
    const here = "test/requirements.test.ts";
    const missing = missingReferences(
      [
        row({ verdict: { kind: "replaced", record: 9999 } }),
        row({ proof: { kind: "test", file: "test/absent.test.ts", name: "x" } }),
        row({ proof: { kind: "test", file: here, name: "a name that no test has, though the file holds it" } }),
        row({
          proof: { kind: "test", file: here, name: "a good row is read with all its parts" },
          verdict: { kind: "replaced", record: 2 },
        }),
      ],
      root,
    );
    expect(missing).toHaveLength(3);
    expect(missing[0]).toContain("ADR-9999");
    expect(missing[1]).toContain("test/absent.test.ts");
    expect(missing[2]).toContain("a name that no test has");
  });

  test("only what is called test or it gives a name", () => {
    const source = `
      // test("not this one", f);
      test("one", () => {}); it('two', f); test.each([[1]])("three %s", f);
      test.skipIf(peer(1))(\`four\`, f); describe("no", f); object.test("no", f); latest("no", f); const text = "no";
      test("with \\"quotes\\"", f);`;
    expect([...testNames(source)]).toEqual(["one", "two", "three %s", "four", 'with "quotes"']);
  });
});
