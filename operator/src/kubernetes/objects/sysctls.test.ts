import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PushGatewayPoolTuning } from "../../generated/push-gateway.js";
import { isSafeOn, type NodeVersions, sysctlFault, templateSysctls, wantedSysctls } from "./sysctls.js";

const tuning = (over: Partial<PushGatewayPoolTuning> = {}): PushGatewayPoolTuning => ({
  profile: "websocket-500k",
  sysctls: {},
  unsafeSysctls: "Tuner",
  nofile: 1_000_000,
  ...over,
});
const node = (kubeletVersion: string, kernelVersion = "6.1.0-18-amd64"): NodeVersions => ({ kubeletVersion, kernelVersion });
const names = (list: readonly { readonly name: string }[]): readonly string[] => list.map(({ name }) => name);

describe("which sysctls a pod may ask for", () => {
  test.each([
    ["net.ipv4.ip_local_port_range", [node("v1.28.3")], true],
    ["net.ipv4.ip_local_port_range", [], true],
    ["net.ipv4.tcp_fin_timeout", [node("v1.28.3")], false],
    ["net.ipv4.tcp_fin_timeout", [node("v1.29.0")], true],
    ["net.ipv4.tcp_fin_timeout", [node("v1.29.0", "4.5.1")], false],
    ["net.ipv4.tcp_fin_timeout", [], false],
    ["net.ipv4.tcp_keepalive_time", [node("v1.29.0", "4.5.1")], true],
    ["net.ipv4.tcp_rmem", [node("v1.31.9-gke.1")], false],
    ["net.ipv4.tcp_rmem", [node("v1.32.0+k3s1")], true],
    ["net.ipv4.tcp_rmem", [node("v1.34.4", "4.14.355-275.el7")], false],
    ["net.ipv4.tcp_wmem", [node("v1.34.4"), node("v1.31.0")], false],
    ["net.ipv4.tcp_wmem", [node("v1.34.4"), node("not a version")], false],
    ["net.core.somaxconn", [node("v1.34.4")], false],
    ["net.core.rmem_max", [node("v1.34.4")], false],
    ["kernel.msgmax", [node("v1.34.4")], false],
  ])("%s on %j: %s", (name, nodes, expected) => {
    expect(isSafeOn(name, nodes)).toBe(expected);
  });

  test("without unsafeSysctls Pod a template has only those that are safe on some node", () => {
    expect(names(templateSysctls(tuning()))).toEqual([
      "net.ipv4.ip_local_port_range",
      "net.ipv4.tcp_fin_timeout",
      "net.ipv4.tcp_rmem",
      "net.ipv4.tcp_wmem",
    ]);
  });

  test("with unsafeSysctls Pod it has those of a network namespace too, never those of the node", () => {
    const asked = names(templateSysctls(tuning({ unsafeSysctls: "Pod", sysctls: { "fs.nr_open": "2000000" } })));
    expect(asked).toEqual(expect.arrayContaining(["net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_tw_reuse"]));
    for (const name of [
      "net.core.netdev_max_backlog",
      "net.core.rmem_max",
      "net.core.wmem_max",
      "net.netfilter.nf_conntrack_max",
      "fs.nr_open",
    ]) {
      expect(asked).not.toContain(name);
    }
  });

  test("the spec's values replace the profile's, and profile None has nothing but them", () => {
    const sysctls = { "net.ipv4.tcp_fin_timeout": "30" };
    expect(wantedSysctls(tuning({ sysctls }))).toContainEqual({ name: "net.ipv4.tcp_fin_timeout", value: "30" });
    expect(wantedSysctls(tuning({ sysctls, profile: "None" }))).toEqual([{ name: "net.ipv4.tcp_fin_timeout", value: "30" }]);
  });

  test.each([
    ["net.ipv4.ip_local_port_range", "1024 65535", undefined],
    ["net.ipv4.ip_local_port_range", "1024", "takes 2 numbers"],
    ["net.ipv4.ip_local_port_range", "65535 1024", "ascending"],
    ["net.ipv4.ip_local_port_range", "1 65535", "takes 1024 to 65535"],
    ["net.ipv4.tcp_rmem", "4096 12288", "takes 3 numbers"],
    ["net.core.rmem_max", "16777216", undefined],
    ["net.ipv4.route.flush", "1", "is not one of"],
  ])("%s = %s", (name, value, fault) => {
    if (fault === undefined) expect(sysctlFault({ name, value })).toBeUndefined();
    else expect(sysctlFault({ name, value })).toContain(fault);
  });

  test("a sysctl with a fault is left out of the template, whatever is asked for", () => {
    const anyValue = fc.constantFrom("1", "0", "-1", "4096 12288 16777216", "65535 1024", "99999999999");
    const anyName = fc.constantFrom(
      "net.ipv4.tcp_rmem",
      "net.ipv4.ip_local_port_range",
      "net.core.somaxconn",
      "net.ipv4.route.flush",
      "fs.file-max",
    );
    fc.assert(
      fc.property(
        fc.dictionary(anyName, anyValue),
        fc.constantFrom("Pod" as const, "Tuner" as const, "None" as const),
        (sysctls, unsafe) => {
          for (const sysctl of templateSysctls(tuning({ sysctls, unsafeSysctls: unsafe }))) expect(sysctlFault(sysctl)).toBeUndefined();
        },
      ),
    );
  });
});
