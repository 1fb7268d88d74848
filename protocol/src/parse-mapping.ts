import { isMapping } from "./is-mapping.js";

/** The JSON object that a text is. `undefined` for any other text, which is an expected outcome where somebody else wrote it: no JSON, a list,
 *  a number. A member given twice counts as written last; `__proto__` is a member like any other. */
export function parseMapping(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isMapping(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
