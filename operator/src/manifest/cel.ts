import { createRequire } from "node:module";
import type * as Library from "@bufbuild/cel";
import type * as Extensions from "@bufbuild/cel/ext";
import { compareQuantities, parseQuantity } from "./quantity.js";

/** An evaluator of CEL with the functions the API server offers to rules, as far as the library has them: the standard ones and strings; and
 *  of Kubernetes' own those of quantities. */
export interface Cel {
  readonly parse: typeof Library.parse;
  readonly plan: typeof Library.plan;
  readonly isCelError: typeof Library.isCelError;
  readonly environment: Library.CelEnv;
}

export type Expression = NonNullable<ReturnType<typeof Library.parse>["expr"]>;

let loaded: Cel | undefined;

/** Loads the library when the first rule is compiled: it takes 80 ms and 15 MB, which a process that reads no manifest should not pay.
 *  `require`, because `import()` would make everything that reads a manifest asynchronous. */
export function cel(): Cel {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const library = require("@bufbuild/cel") as typeof Library;
  const { strings } = require("@bufbuild/cel/ext") as typeof Extensions;
  const { celEnv, isCelError, parse, plan } = library;
  loaded = { parse, plan, isCelError, environment: celEnv({ funcs: [...strings, ...quantities(library)] }) };
  return loaded;
}

/** A quantity is a double here: a rule can only compare it. Source: k8s.io/apiserver, cel/library/quantity.go. */
function quantities({ celFunc, celMethod, CelScalar: { BOOL, DOUBLE, INT, STRING } }: typeof Library) {
  return [
    celFunc("isQuantity", [STRING], BOOL, (text) => parseQuantity(text) !== undefined),
    celFunc("quantity", [STRING], DOUBLE, (text) => {
      const quantity = parseQuantity(text);
      if (quantity === undefined) throw new Error(`${JSON.stringify(text)} is no quantity`);
      return quantity;
    }),
    celMethod("compareTo", DOUBLE, [DOUBLE], INT, function (other) {
      return BigInt(compareQuantities(this, other));
    }),
  ];
}
