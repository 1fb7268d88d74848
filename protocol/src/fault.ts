/** One thing wrong with an input. `path` is dotted (`spec.pools[0].maxReplicas`, "" for the whole), `value` is what stood there
 *  (already shortened; never a secret), `expected` says what would be right. */
export interface Fault {
  readonly path: string;
  readonly value: unknown;
  readonly expected: string;
}

/** One line for people: `pools[0].maxReplicas: 0 is not right, expected an integer from 1 to 1000`. */
export function describeFault(fault: Fault): string {
  const where = fault.path === "" ? "(the whole)" : fault.path;
  if (fault.value === undefined) return `${where}: missing, expected ${fault.expected}`;
  const shown = JSON.stringify(fault.value) ?? String(fault.value);
  return `${where}: ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown} is not right, expected ${fault.expected}`;
}
