import { expect, test } from "vitest";
import { withAdvice } from "./what-helps.js";

test.each([
  ['pods "demo-0" is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3', /: raise the ResourceQuota/],
  [
    'pods "demo-0" is forbidden: failed quota: few: must specify limits.memory for: gateway; requests.cpu for: gateway',
    /: set gateway\.resources/,
  ],
  ['pods "demo-0" is forbidden: maximum cpu usage per Container is 1, but limit is 2', /: change gateway\.resources .* LimitRange/],
  ['pods "demo-0" is forbidden: [minimum memory usage per Pod is 1Gi, but request is 0]', /: change gateway\.resources .* LimitRange/],
  [
    'Pod "demo-0" is invalid: spec.tolerations[0].operator: Invalid value: "x": value must be empty',
    /: correct tolerations in spec\.pools/,
  ],
  ['Pod "demo-0" is invalid: [spec.nodeSelector: Invalid value: "a b": name part, x]', /: correct nodeSelector in spec\.pools/],
  ['Pod "demo-0" is invalid: spec.containers[0].resources.requests: Invalid value: "2Gi": must be', /: correct gateway\.resources/],
  [
    'Service demo: Service "demo" is invalid: metadata.annotations: Invalid value: "a b": name part',
    /: correct loadBalancer\.service\.annotations/,
  ],
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
