import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FleetIdentity, fleetRoles, formatIdentity, parseIdentity, peerFault } from "./fleet-identity.js";

const gateway: FleetIdentity = { namespace: "shop", fleet: "demo", role: "gateway", id: "demo-default-0-7f" };

describe("an identity", () => {
  test("is read as it was written, beside other names", () => {
    const part = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/);
    const identity = fc.record({ namespace: part, fleet: part, role: fc.constantFrom(...fleetRoles), id: part });
    const check = (one: FleetIdentity): void => {
      expect(parseIdentity(`DNS:a.example, URI:${formatIdentity(one)}, IP Address:127.0.0.1`)).toEqual(one);
    };
    fc.assert(fc.property(identity, check));
  });

  test("is never read from what is no list of names, and reading never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => parseIdentity(text) === undefined));
  });

  test.each([
    [undefined],
    [""],
    ["DNS:pushfleet://shop/demo/gateway/a"],
    ["URI:pushfleet://shop/demo/gateway/a, URI:pushfleet://shop/demo/router/a"],
    ["URI:pushfleet://shop/demo/gateway/a, URI:PUSHFLEET://shop/demo/router/a"],
    ['URI:"pushfleet://shop/demo/gateway/a"'],
    ['DNS:"x, URI:pushfleet://shop/demo/gateway/a"'],
    ["URI:pushfleet://shop/demo/admin/a"],
    ["URI:pushfleet://shop/demo/gateway/a/b"],
    ["URI:pushfleet://shop/demo/gateway/"],
    ["URI:pushfleet:///demo/gateway/a"],
    ["URI:pushfleet://shop/demo/gateway/a b"],
    ["URI:pushfleet://shop/demo/gateway/a?x"],
    ["URI:https://shop/demo/gateway/a"],
  ])("is not %j", (names) => {
    expect(parseIdentity(names)).toBeUndefined();
  });
});

test("a peer must be of the own fleet, of the role that was looked up, and the one, where that is known", () => {
  const own: FleetIdentity = { ...gateway, role: "router", id: "demo-router" };
  expect(peerFault(own, { role: "gateway", id: gateway.id }, gateway)).toBeUndefined();
  expect(peerFault(own, { role: "gateway" }, gateway)).toBeUndefined();
  for (const found of [undefined, { ...gateway, id: "other" }, { ...gateway, fleet: "other" }, { ...gateway, namespace: "other" }, own]) {
    expect(peerFault(own, { role: "gateway", id: gateway.id }, found)).toMatch(
      /expected pushfleet:\/\/shop\/demo\/gateway\/demo-default-0-7f/,
    );
  }
});
