import { type Fault, type Given, joinRows, type ManifestRows, type RowMaker } from "./manifest-rows.js";

/** Bounds of a text. `like(length)` makes a right one of that length, `shortest` is one of the fewest characters that pass. */
export interface TextBounds {
  readonly minLength?: number;
  readonly maxLength: number;
  readonly pattern?: string;
  /** Breaks the pattern and nothing else. */
  readonly unlike?: string;
  readonly shortest?: string;
  readonly like?: (length: number) => string;
}

export interface ListBounds {
  readonly minItems?: number;
  readonly maxItems: number;
  readonly element: (index: number) => unknown;
  /** Whether its elements are unique: all of them (set), or by this key (map). */
  readonly unique?: "set" | { readonly key: string };
}

const wrongType = (type: string, given: string, offline: string, bound: unknown = type): Fault => ({
  keyword: "type",
  bound,
  server: `must be of type ${type}: "${given}"`,
  offline,
});

const between = (minimum: number, maximum: number | undefined): string =>
  maximum === undefined ? `an integer of at least ${minimum}` : `an integer from ${minimum} to ${maximum}`;

export interface FieldRows {
  integer(path: string, minimum: number, maximum?: number, given?: Given): ManifestRows;
  text(path: string, bounds: TextBounds, given?: Given): ManifestRows;
  choice(path: string, values: readonly string[], givenFor?: Readonly<Record<string, Given>>): ManifestRows;
  flag(path: string): ManifestRows;
  list(path: string, bounds: ListBounds, given?: Given): ManifestRows;
  map(path: string, maxProperties: number, value: unknown): ManifestRows;
  mapping(path: string, required?: readonly string[], given?: Given): ManifestRows;
  quantities(path: string): ManifestRows;
}

/** The rows for one field of each kind: every bound just passed and just kept, and a value of another type. */
export function fieldRows({ bad, good }: RowMaker): FieldRows {
  const text = (path: string, bounds: TextBounds, given: Given = {}): ManifestRows => {
    const { minLength, maxLength, pattern, unlike, like = (length: number) => "a".repeat(length) } = bounds;
    const lengths = `a string of ${minLength ?? 0} to ${maxLength} characters`;
    const shortest = bounds.shortest ?? like(minLength ?? 0);
    const rows = [
      bad(
        path,
        like(maxLength + 1),
        { keyword: "maxLength", bound: maxLength, server: `may not be more than ${maxLength} bytes`, offline: lengths },
        given,
      ),
      bad(path, 3, wrongType("string", "integer", "a string"), given),
      good(path, shortest, given),
      good(path, like(maxLength), given),
    ];
    if (minLength !== undefined) {
      const server = `should be at least ${minLength} chars long`;
      rows.push(bad(path, like(minLength).slice(1), { keyword: "minLength", bound: minLength, server, offline: lengths }, given));
    }
    if (pattern !== undefined && unlike !== undefined) {
      rows.push(
        bad(
          path,
          unlike,
          { keyword: "pattern", bound: pattern, server: `should match '${pattern}'`, offline: `matches ${pattern}` },
          given,
        ),
      );
    }
    return joinRows(...rows);
  };

  const list = (path: string, bounds: ListBounds, given: Given = {}): ManifestRows => {
    const { minItems, maxItems, element, unique } = bounds;
    const elements = (count: number): readonly unknown[] => Array.from({ length: count }, (_, index) => element(index));
    const sizes = `a list of ${minItems ?? 0} to ${maxItems} elements`;
    const rows = [
      bad(
        path,
        elements(maxItems + 1),
        { keyword: "maxItems", bound: maxItems, server: `must have at most ${maxItems} items`, offline: sizes },
        given,
      ),
      bad(path, {}, wrongType("array", "object", "a list"), given),
      good(path, elements(minItems ?? 0), given),
      good(path, elements(maxItems), given),
    ];
    if (minItems !== undefined) {
      const server = `should have at least ${minItems} items`;
      rows.push(bad(path, elements(minItems - 1), { keyword: "minItems", bound: minItems, server, offline: sizes }, given));
    }
    if (unique !== undefined) {
      const fault: Fault = {
        keyword: "duplicate",
        bound: unique === "set" ? "set" : unique.key,
        server: "Duplicate value",
        offline: "duplicate",
        serverPath: `${path}[1]`,
        offlinePath: unique === "set" ? path : `${path}[1]`,
      };
      rows.push(bad(path, [element(0), element(0)], fault, given));
    }
    return joinRows(...rows);
  };

  const mapping = (path: string, required: readonly string[] = [], given: Given = {}): ManifestRows =>
    joinRows(
      bad(path, "text", wrongType("object", "string", "a mapping"), given),
      bad(
        `${path}.unheardOf`,
        1,
        { keyword: "unknownField", bound: true, server: `unknown field "${path}.unheardOf"`, offline: "unheardOf", at: path },
        given,
      ),
      ...required.map((name) =>
        bad(
          `${path}.${name}`,
          undefined,
          { keyword: "required", bound: name, server: "Required value", offline: "required", at: path },
          given,
        ),
      ),
    );

  const map = (path: string, maxProperties: number, value: unknown, key = "net.name"): ManifestRows => {
    const entries = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, index) => [`${key}${index}`, value]));
    const server = `must have at most ${maxProperties} items`;
    return joinRows(
      bad(path, entries(maxProperties + 1), { keyword: "maxProperties", bound: maxProperties, server, offline: `${maxProperties}` }),
      bad(path, "text", wrongType("object", "string", "a mapping")),
      good(path, {}),
      good(path, entries(maxProperties)),
    );
  };

  return {
    text,
    list,
    mapping,
    map,
    integer: (path, minimum, maximum, given = {}) =>
      joinRows(
        bad(
          path,
          minimum - 1,
          {
            keyword: "minimum",
            bound: minimum,
            server: `should be greater than or equal to ${minimum}`,
            offline: between(minimum, maximum),
          },
          given,
        ),
        ...(maximum === undefined
          ? []
          : [
              bad(
                path,
                maximum + 1,
                {
                  keyword: "maximum",
                  bound: maximum,
                  server: `should be less than or equal to ${maximum}`,
                  offline: between(minimum, maximum),
                },
                given,
              ),
              good(path, maximum, given),
            ]),
        bad(path, String(minimum), wrongType("integer", "string", between(minimum, maximum)), given),
        bad(path, minimum + 0.5, wrongType("integer", "number", between(minimum, maximum)), given),
        good(path, minimum, given),
      ),
    choice: (path, values, givenFor = {}) =>
      joinRows(
        bad(path, "Unheard", {
          keyword: "enum",
          bound: values,
          server: `supported values: ${values.map((value) => JSON.stringify(value)).join(", ")}`,
          offline: `one of ${JSON.stringify(values)}`,
        }),
        bad(path, 3, wrongType("string", "integer", "a string")),
        ...values.map((value) => good(path, value, givenFor[value])),
      ),
    flag: (path) => joinRows(bad(path, "yes", wrongType("boolean", "string", "true or false")), good(path, true), good(path, false)),
    quantities: (path) => {
      const pattern = "^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$";
      const cpu = `${path}['cpu']`;
      const other = path.endsWith(".limits") ? path.replace(/limits$/, "requests") : path.replace(/requests$/, "limits");
      return joinRows(
        map(path, 16, 1, "example.com/device"),
        ...["8 cores", "-1", "-1Gi", "1e1.5", "1e100", "."].map((text) =>
          bad(cpu, text, { keyword: "pattern", bound: pattern, server: "should match '^\\+?", offline: "a quantity such as" }),
        ),
        bad(cpu, -1, {
          keyword: "minimum",
          bound: 0,
          server: "should be greater than or equal to 0",
          offline: "a number from 0 to 1000000000000000",
        }),
        bad(cpu, 1e15 + 1, {
          keyword: "maximum",
          bound: 1e15,
          server: "should be less than or equal to 1",
          offline: "a number from 0 to 1000000000000000",
        }),
        bad(cpu, "1".repeat(33), { keyword: "maxLength", bound: 32, server: "may not be more than 32 bytes", offline: "characters" }),
        bad(cpu, true, wrongType("integer,string", "boolean", "an integer or a string", "integer,string")),
        ...[0, 8, 1e15, "500m", ".5", "1.", "+1", "15e-3", "1.5E3", "1".repeat(32)].map((value) =>
          good(cpu, value, { [other]: undefined }),
        ),
      );
    },
  };
}
