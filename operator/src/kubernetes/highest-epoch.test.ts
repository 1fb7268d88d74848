import { expect, test } from "vitest";
import { firstGrant } from "../../../test/support/example-fleet.js";
import { grantAnnotation } from "../core/index.js";
import { highestEpoch } from "./highest-epoch.js";

const podWith = (grant: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "a", name: "x", annotations: { [grantAnnotation]: grant } },
});
const podOf = (epoch: number) => podWith(JSON.stringify({ ...firstGrant, epoch }));

test("the highest epoch is that of any pod, and 0 where none has one", () => {
  expect(highestEpoch([podOf(3), podOf(7), podWith("garbage")])).toBe(7);
  expect(highestEpoch([])).toBe(0);
});

// A Lease counts in 32 bits: whoever may write an annotation on one pod must not keep the operator from leading every other fleet.
test.each([2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e300, 7.5])("an epoch that no leader can have had (%d) is none", (epoch) => {
  expect(highestEpoch([podOf(3), podOf(epoch)])).toBe(3);
});
