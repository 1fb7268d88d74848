import { describeFault } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { kubeconfigFaults } from "./kubeconfig-faults.js";

const file = (change: object = {}) =>
  stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "one", user: "me" } }],
    clusters: [{ name: "one", cluster: { server: "https://127.0.0.1:6443" } }],
    users: [{ name: "me", user: {} }],
    ...change,
  });
const cluster = (fields: object) => file({ clusters: [{ name: "one", cluster: fields }] });

test("a kubeconfig that can be used has no fault", () => {
  expect(kubeconfigFaults("/config", file())).toEqual([]);
  expect(kubeconfigFaults("/config", file({ users: [{ name: "me", user: { tokenFile: "/token", token: "t" } }] }))).toEqual([]);
  expect(kubeconfigFaults("/config", file({ users: null }))).toEqual([]);
  expect(kubeconfigFaults("/config", cluster({ server: "http://localhost:8001/behind/" }))).toEqual([]);
});

test.each([
  ["no YAML", "a: [", "a kubeconfig (it is no YAML: "],
  ["nothing", "", "a kubeconfig (it is empty)"],
  ["something else", "- a", "a kubeconfig (it is no mapping)"],
  ["without a current context", file({ "current-context": "" }), "a kubeconfig with a current-context"],
  ["whose current context is not there", file({ contexts: [] }), 'a kubeconfig with a context "here", its current-context'],
  ["without contexts", file({ contexts: null }), 'a kubeconfig with a context "here"'],
  ["whose cluster is not there", file({ clusters: [{ name: "other" }] }), 'a kubeconfig with a cluster "one"'],
  ["without a server", cluster({}), 'a kubeconfig whose cluster "one" has a server with http:// or https://'],
  ["with a server that is no URL", cluster({ server: "127.0.0.1:6443" }), 'whose cluster "one" has a server with http:// or https://'],
  [
    "with a proxy",
    cluster({ server: "https://a", "proxy-url": "http://b" }),
    'whose cluster "one" has no proxy-url, which is not supported',
  ],
  ["with a token in a file", file({ users: [{ name: "me", user: { tokenFile: "/token" } }] }), 'whose user "me" has a token'],
])("%s is told with what would be right", (_what, text, expected) => {
  const told = kubeconfigFaults("/config", text).map(describeFault);
  expect(told).toEqual([
    expect.stringContaining(`kubeconfig: "/config" is not right, expected ${expected.startsWith("a ") ? expected : ""}`),
  ]);
  expect(told[0]).toContain(expected);
});
