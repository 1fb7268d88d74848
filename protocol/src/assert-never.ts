/** Ends a switch over a union: a case that was forgotten is a compile error here, and a throw (a bug) at run time. */
export function assertNever(value: never): never {
  throw new Error(`unexpected case: ${JSON.stringify(value)}`);
}
