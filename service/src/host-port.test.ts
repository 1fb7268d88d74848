import { expect, test } from "vitest";
import { bareHost, hostPort } from "./host-port.js";

test.each([
  ["127.0.0.1", "127.0.0.1:9101", "127.0.0.1"],
  ["gw-1.gateways", "gw-1.gateways:9101", "gw-1.gateways"],
  ["::1", "[::1]:9101", "::1"],
  ["[::1]", "[::1]:9101", "::1"],
  ["fd00::7", "[fd00::7]:9101", "fd00::7"],
  ["::", "[::]:9101", "::"],
])("%s is dialled as %s and listened on as %s", (host, dialled, bare) => {
  expect([hostPort(host, 9101), bareHost(host)]).toEqual([dialled, bare]);
});
