import { ServerInterceptingCall, type ServerInterceptor, status } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type FleetIdentity, type FleetRole, formatIdentity, isSameFleet, parseIdentity } from "./fleet-identity.js";
import { gatewayService, routerService } from "./grpc.js";
import { healthService } from "./health-service.js";
import type { Logger } from "./logging.js";

/** Roles that may call a method, by its path. A method that is not named here is nobody's. */
export type AllowedCallers = ReadonlyMap<string, readonly FleetRole[]>;

const everybody: readonly FleetRole[] = ["gateway", "router", "operator"];

/** Who calls what in a fleet, and nothing more. A gateway holds the sockets of strangers, so it is the first to be broken into: it may neither
 *  publish, nor deliver to another gateway, nor drain one. `Publish` is for processes of the fleet that hand on or rehearse; publishers come
 *  by HTTP with their tokens. */
export const allowedCallers: AllowedCallers = new Map<string, readonly FleetRole[]>([
  [gatewayService.deliver.path, ["router"]],
  [gatewayService.drain.path, ["operator"]],
  [gatewayService.abortDrain.path, ["operator"]],
  [gatewayService.watchStatus.path, ["operator"]],
  [gatewayService.disconnect.path, ["gateway"]],
  [routerService.acknowledge.path, ["gateway"]],
  [routerService.sync.path, ["gateway"]],
  [routerService.emit.path, ["gateway"]],
  [routerService.publish.path, ["router", "operator"]],
  [healthService.check.path, everybody],
  [healthService.watch.path, everybody],
]);

export interface CallerRefusal {
  /** UNAUTHENTICATED: nobody of a fleet. PERMISSION_DENIED: somebody, but not one who may. */
  readonly code: status.UNAUTHENTICATED | status.PERMISSION_DENIED;
  readonly details: string;
}

/** Whether the process `caller` may call `path` of the process `own`; `undefined`: it may. */
export function refuseCaller(
  path: string,
  own: FleetIdentity,
  caller: FleetIdentity | undefined,
  allow: AllowedCallers = allowedCallers,
): CallerRefusal | undefined {
  if (caller === undefined) {
    return { code: status.UNAUTHENTICATED, details: "the client certificate names no process of a fleet" };
  }
  if (!isSameFleet(own, caller)) {
    return { code: status.PERMISSION_DENIED, details: `${formatIdentity(caller)} is of another fleet than ${own.namespace}/${own.fleet}` };
  }
  if (allow.get(path)?.includes(caller.role) === true) return undefined;
  return { code: status.PERMISSION_DENIED, details: `${path} is not for the role ${caller.role}` };
}

/** Asks `refuseCaller` before a call is read from: a refused one costs no message, no handler and no state (invariant I7). Each caller refused is
 *  logged once for a method. */
export function checkCallers(own: FleetIdentity, logger: Logger | undefined, allow?: AllowedCallers): ServerInterceptor {
  const logged = new Set<string>();
  const log = (path: string, { details }: CallerRefusal): void => {
    const key = `${path} ${details}`;
    if (logged.has(key) || logged.size >= limits.refusedCallersRemembered) return;
    logged.add(key);
    logger?.warn({ path, reason: details }, "a caller was refused");
  };
  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const caller = parseIdentity(call.getAuthContext().sslPeerCertificate?.subjectaltname);
        const refusal = refuseCaller(path, own, caller, allow);
        if (refusal === undefined) {
          next();
          return;
        }
        log(path, refusal);
        call.sendStatus(refusal);
      },
    });
}
