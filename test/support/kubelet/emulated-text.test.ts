import { expect, test } from "vitest";
import { emulate, emulateFile, expandVariables } from "./emulated-text.js";

const emulation = {
  mounts: new Map([
    ["/etc/pushfleet", "/tmp/x/config"],
    ["/etc/pushfleet/tls", "/tmp/x/tls"],
    ["/tmp", "/tmp/x/scratch"],
  ]),
  podIp: "127.20.1.7",
  nameServer: "127.20.0.1:5300",
};

test.each([
  ["/etc/pushfleet/gateway.yaml", "/tmp/x/config/gateway.yaml"],
  ["certFile: /etc/pushfleet/tls/tls.crt", "certFile: /tmp/x/tls/tls.crt"],
  ["/etc/pushfleeting /a/etc/pushfleet-x", "/etc/pushfleeting /a/etc/pushfleet-x"],
  ["file:///tmp", "file:///tmp/x/scratch"],
  ["http://0.0.0.0:8080", "http://127.20.1.7:8080"],
  ["[::]:9101", "127.20.1.7:9101"],
  ["10.0.0.0/8", "10.0.0.0/8"],
])("%s becomes %s", (text, expected) => {
  expect(emulate(text, emulation)).toBe(expected);
});

test("an haproxy.cfg gets the cluster's name server and the pod's address", () => {
  const text = "resolvers cluster\n  parse-resolv-conf\nfrontend a\n  bind :8080\n  bind *:8081\n  bind :::8082 v4v6\n";
  const expected =
    "resolvers cluster\n  nameserver cluster 127.20.0.1:5300\nfrontend a\n  bind 127.20.1.7:8080\n  bind 127.20.1.7:8081\n  bind 127.20.1.7:8082 v4v6\n";
  expect(emulateFile("haproxy.cfg", text, emulation)).toBe(expected);
});

test("variables are expanded as Kubernetes does", () => {
  expect(expandVariables("$(A)-$(B)-$$(A)", { A: "1" })).toBe("1-$(B)-$(A)");
});
