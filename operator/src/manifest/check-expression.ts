import { assertNever } from "@pushfleet/protocol";
import type { Expression } from "./cel.js";
import { escapedField } from "./cel-value.js";
import type { SchemaNode } from "./schema.js";

/** What is known of an expression's type: the schema of the value, or nothing (the API server's type checker knows the rest). */
type Known = SchemaNode | undefined;
type Scope = ReadonlyMap<string, Known>;

/** Control flow that the evaluator has built in, beside the functions it looks up by name. */
const builtIn = new Set(["_[_]", "_?_:_", "_&&_", "_||_", "@not_strictly_false"]);

/** Everything in a rule that would only be noticed when it is evaluated, or never: a function the library has not, a variable that is not
 *  there, a field that the schema has not (`has()` of a misspelt one is false for ever). */
export function expressionFaults(expression: Expression, self: SchemaNode, isFunction: (name: string) => boolean): readonly string[] {
  const faults: string[] = [];
  walk(expression, new Map([["self", self]]));
  return faults;

  function walk(node: Expression | undefined, scope: Scope): Known {
    const kind = node?.exprKind;
    switch (kind?.case) {
      case undefined:
      case "constExpr":
        return undefined;
      case "identExpr":
        if (!scope.has(kind.value.name)) faults.push(`there is no variable "${kind.value.name}"`);
        return scope.get(kind.value.name);
      case "selectExpr":
        return select(walk(kind.value.operand, scope), kind.value.field);
      case "callExpr": {
        const { function: name, target, args } = kind.value;
        if (!builtIn.has(name) && !isFunction(name)) faults.push(`there is no function "${name}"`);
        const types = [...(target === undefined ? [] : [target]), ...args].map((part) => walk(part, scope));
        return name === "_[_]" ? elementOf(types[0]) : undefined;
      }
      case "listExpr":
        for (const element of kind.value.elements) walk(element, scope);
        return undefined;
      case "structExpr":
        for (const entry of kind.value.entries) walk(entry.value, scope);
        return undefined;
      case "comprehensionExpr": {
        const { iterRange, iterVar, accuVar, accuInit, loopCondition, loopStep, result } = kind.value;
        const range = walk(iterRange, scope);
        const inside = new Map(scope).set(iterVar, range?.items).set(accuVar, walk(accuInit, scope));
        for (const part of [loopCondition, loopStep, result]) walk(part, inside);
        return undefined;
      }
      default:
        return assertNever(kind);
    }
  }

  function select(operand: Known, field: string): Known {
    if (operand?.properties === undefined) return elementOf(operand);
    const found = Object.entries(operand.properties).find(([name]) => escapedField(name) === field);
    if (found === undefined) faults.push(`the schema has no field "${field}" there`);
    return found?.[1];
  }
}

function elementOf(type: Known): Known {
  return type?.items ?? (typeof type?.additionalProperties === "object" ? type.additionalProperties : undefined);
}
