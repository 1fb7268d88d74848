import { connectionIdFromNumber, limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatEntry, parseEntry } from "./entry.js";
import { newIncarnation } from "./example-registrations.test-suite.js";

const entry = fc.record({
  incarnation: fc.constant(0).map(newIncarnation),
  connection: fc.maxSafeNat().map(connectionIdFromNumber),
  fence: fc.maxSafeNat(),
});

test("an entry is read as it was written, and is at most registryEntryBytesMax", () => {
  fc.assert(
    fc.property(entry, (each) => {
      expect(parseEntry(formatEntry(each))).toEqual(each);
      expect(Buffer.byteLength(formatEntry(each))).toBeLessThanOrEqual(limits.registryEntryBytesMax);
    }),
  );
});

test.each([
  "",
  "a",
  "aaaaaaaaaa|1",
  "aaaaaaaaaa|1|",
  "aaaaaaaaaa|1|2|3",
  "aaaaaaaaaa|1|x",
  "AAAAAAAAAA|1|2",
  "aaaaaaaaaa||2",
  "aaaaaaaaaa|1|1e400",
  "aaaaaaaaaa|1|-1",
  "aaaaaaaaaa|1| 2",
])("%j is no entry", (text) => {
  expect(parseEntry(text)).toBeUndefined();
});
