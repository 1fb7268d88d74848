import { expect, test } from "vitest";
import { withAdvice } from "./what-helps.js";

test.each([
  ['pods "demo-0" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3', /: raise the ResourceQuota/],
  ['pods "demo-0" is forbidden: violates PodSecurity "restricted:latest": forbidden sysctls', /: set tuning\.unsafeSysctls/],
  ["pods \"demo-0\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", /: ask who runs that policy/],
  ['admission webhook "w.example" denied the request: no', /: ask who runs that policy/],
  [
    'services "demo" is forbidden: unable to create new content in namespace push because it is being terminated',
    /: the namespace is being deleted/,
  ],
  [
    'pods is forbidden: User "o" cannot create resource "pods" in API group "" in the namespace "push"',
    /: give the operator's ServiceAccount/,
  ],
])("%s comes with what helps", (message, advice) => {
  expect(withAdvice(message)).toMatch(advice);
  expect(withAdvice(message).startsWith(message)).toBe(true);
});

test("a message that says it all stays as it is", () => {
  expect(withAdvice("spec.ports[0].port: Invalid value")).toBe("spec.ports[0].port: Invalid value");
});
