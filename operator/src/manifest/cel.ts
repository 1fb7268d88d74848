import { createRequire } from "node:module";
import type * as Library from "@bufbuild/cel";
import type * as Extensions from "@bufbuild/cel/ext";

/** An evaluator of CEL with the functions the API server offers to rules, as far as the library has them: the standard ones and strings. */
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
  const { celEnv, isCelError, parse, plan } = require("@bufbuild/cel") as typeof Library;
  const { strings } = require("@bufbuild/cel/ext") as typeof Extensions;
  loaded = { parse, plan, isCelError, environment: celEnv({ funcs: [...strings] }) };
  return loaded;
}
