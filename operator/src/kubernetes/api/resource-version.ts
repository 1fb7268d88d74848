/** A resourceVersion as a number. Those of one resource are comparable so (Kubernetes 1.35 promises it, KEP-5504; etcd's revisions always
 *  were). `undefined` for anything else: then only "the same" and "another" can be told. */
export function versionNumber(resourceVersion: string | undefined): number | undefined {
  return resourceVersion !== undefined && /^[1-9]\d{0,14}$/.test(resourceVersion) ? Number(resourceVersion) : undefined;
}

/** Whether `candidate` is a later version than `known`; where they cannot be compared, whether it is another one. */
export function isLater(candidate: string | undefined, known: string | undefined): boolean {
  const [after, before] = [versionNumber(candidate), versionNumber(known)];
  return after === undefined || before === undefined ? candidate !== known : after > before;
}
