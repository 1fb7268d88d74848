import { expect, test } from "vitest";
import { device, newLease, newUser } from "./example-registrations.test-suite.js";
import { locateDevices, parseEntries } from "./located-devices.js";

const user = newUser();
const [living, dead] = [newLease(), newLease()];
const entries = parseEntries(["phone", `${living.incarnation}|1|5`, "tablet", `${dead.incarnation}|2|6`, "broken"]);

test("the living are located, the dead are named", () => {
  const leases = new Map([
    [living.incarnation, { kind: "lease", lease: living }],
    [dead.incarnation, { kind: "lease", lease: undefined }],
  ] as const);
  expect(locateDevices(user, entries, leases)).toEqual({
    result: {
      kind: "located",
      devices: [{ device: device("phone"), entry: { incarnation: living.incarnation, connection: "1", fence: 5 }, lease: living }],
    },
    dead: [{ user, device: device("tablet"), incarnation: dead.incarnation, connection: "2" }],
  });
});

test("a lease that could not be read is not a dead one: the look-up is unavailable", () => {
  const cause = new Error("away");
  const leases = new Map([
    [living.incarnation, { kind: "lease", lease: living }],
    [dead.incarnation, { kind: "unavailable", cause }],
  ] as const);
  expect(locateDevices(user, entries, leases)).toEqual({ result: { kind: "unavailable", cause }, dead: [] });
  expect(locateDevices(user, entries, new Map()).result.kind).toBe("unavailable");
});
