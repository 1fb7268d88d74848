import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { allowedCallers, refuseCaller } from "./allowed-callers.js";
import { type FleetIdentity, type FleetRole, fleetRoles } from "./fleet-identity.js";
import { gatewayService, routerService } from "./grpc.js";
import { healthService } from "./health-service.js";

const own: FleetIdentity = { namespace: "shop", fleet: "demo", role: "gateway", id: "demo-default-0" };
const caller = (role: FleetRole): FleetIdentity => ({ namespace: "shop", fleet: "demo", role, id: "x" });

describe("I7: the roles that may call", () => {
  test.each<readonly [string, readonly FleetRole[]]>([
    [gatewayService.deliver.path, ["router"]],
    [gatewayService.drain.path, ["operator"]],
    [gatewayService.abortDrain.path, ["operator"]],
    [gatewayService.watchStatus.path, ["operator"]],
    [gatewayService.disconnect.path, ["gateway"]],
    [routerService.acknowledge.path, ["gateway"]],
    [routerService.sync.path, ["gateway"]],
    [routerService.emit.path, ["gateway"]],
    [routerService.publish.path, ["router", "operator"]],
    [healthService.check.path, ["gateway", "router", "operator"]],
    [healthService.watch.path, ["gateway", "router", "operator"]],
  ])("%s are %j and no other", (path, roles) => {
    expect(fleetRoles.filter((role) => refuseCaller(path, own, caller(role)) === undefined)).toEqual(roles);
  });

  test("are said of every method there is, and a method of which nothing is said is nobody's", () => {
    const paths = [gatewayService, routerService, healthService].flatMap((service) => Object.values(service).map(({ path }) => path));
    expect([...allowedCallers.keys()].sort()).toEqual(paths.sort());
    expect(refuseCaller("/pushfleet.v1.Gateway/New", own, caller("operator"))).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(refuseCaller("toString", own, caller("operator"))).toMatchObject({ code: status.PERMISSION_DENIED });
  });
});

test("a caller of another fleet or namespace is denied whatever its role, nobody is not authenticated", () => {
  for (const path of allowedCallers.keys()) {
    for (const role of fleetRoles) {
      expect(refuseCaller(path, own, { ...caller(role), fleet: "other" })).toMatchObject({ code: status.PERMISSION_DENIED });
      expect(refuseCaller(path, own, { ...caller(role), namespace: "bar" })).toMatchObject({ code: status.PERMISSION_DENIED });
    }
    expect(refuseCaller(path, own, undefined)).toMatchObject({ code: status.UNAUTHENTICATED });
  }
});
