/** What every key of a fleet starts with; crds/pushgateway.yaml has the same as a rule (test/judges-agree.test.ts holds them
 *  together). Braces are for hash tags. */
export const keyPrefixPattern = "^[^\\x00-\\x20{}]*$";

const pattern = new RegExp(keyPrefixPattern);

export function isKeyPrefix(text: string): boolean {
  return pattern.test(text);
}
