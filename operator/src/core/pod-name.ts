/** `fleet-pool-slot-revision`: the same wish always makes the same name, so that two operators, or one that crashed, create a pod once. */
export function podName(fleet: string, pool: string, slot: number, revision: string): string {
  return `${fleet}-${pool}-${slot}-${revision}`;
}
