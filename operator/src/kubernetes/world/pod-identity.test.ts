import fc from "fast-check";
import { expect, test } from "vitest";
import { podName } from "../../core/index.js";
import { identityFromName } from "./pod-identity.js";

const dnsLabel = fc.stringMatching(/^[a-z]([-a-z0-9]{0,8}[a-z0-9])?$/);

test("every pod's name tells its place, whatever hyphens and digits the names hold", () => {
  fc.assert(
    fc.property(dnsLabel, dnsLabel, fc.nat(9_999), fc.stringMatching(/^[0-9a-f]{8}$/), (fleet, pool, slot, revision) => {
      expect(identityFromName(fleet, podName(fleet, pool, slot, revision))).toEqual({ pool, slot, revision });
    }),
  );
});

test.each([["other-default-0-1a2b3c4d"], ["demo"], ["demo-default-0"], ["demo-default-x-1a2b3c4d"], ["demo-router-7d9f-abcde"]])(
  "%s is no gateway pod of demo",
  (name) => {
    expect(identityFromName("demo", name)).toBeUndefined();
  },
);
