import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, validateConfiguration } from "@pushfleet/service";
import { afterEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { closeAll, serve } from "../../../test/support/answering-server.js";
import { firstGrant } from "../../../test/support/example-fleet.js";
import { grantAnnotation } from "../core/index.js";
import { operatorRefinements, operatorSchema } from "./configuration.js";
import { startOperator } from "./start-operator.js";

const folder = mkdtempSync(join(tmpdir(), "start-operator-"));

afterEach(async () => {
  await closeAll();
  rmSync(folder, { recursive: true, force: true });
});

function configurationFor(port: number) {
  const file = join(folder, "kubeconfig");
  const server = `http://127.0.0.1:${port}`;
  writeFileSync(
    file,
    JSON.stringify({
      clusters: [{ name: "c", cluster: { server } }],
      users: [{ name: "u", user: {} }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
  const configured = validateConfiguration(
    operatorSchema,
    { kubeconfig: file, admin: { port: 0 }, lease: { retryPeriodSeconds: 0.1 } },
    operatorRefinements,
  );
  if (configured.kind === "faults") throw new Error(JSON.stringify(configured.faults));
  return configured.value;
}

test("a Lease that cannot be raised at first is raised as soon as the API server answers again", async () => {
  const pod = { metadata: { namespace: "a", name: "x", annotations: { [grantAnnotation]: JSON.stringify({ ...firstGrant, epoch: 7 }) } } };
  let lease = {
    metadata: { name: "pushfleet-operator", uid: "u", resourceVersion: "1" },
    spec: { holderIdentity: "", leaseTransitions: 0 },
  };
  let refusals = 0;
  const send = (response: ServerResponse, status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
  const { port } = await serve((request, response, body) => {
    if (request.url?.includes("/leases/") !== true) {
      if (request.url?.includes("watch=true") === true) return response.flushHeaders();
      return send(response, 200, {
        metadata: { resourceVersion: "5" },
        items: request.url?.startsWith("/api/v1/pods?") === true ? [pod] : [],
      });
    }
    if (request.method === "GET") return send(response, 200, lease);
    const wanted = JSON.parse(body) as typeof lease;
    if (wanted.spec.leaseTransitions >= 7 && refusals < 3) {
      refusals += 1;
      return send(response, 503, {});
    }
    lease = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: String(Number(lease.metadata.resourceVersion) + 1) } };
    return send(response, 200, lease);
  });
  const operator = await startOperator(configurationFor(port), createLogger("test", "silent"));
  let failure: Error | undefined;
  void operator.failed?.then((cause) => {
    failure = cause;
  });
  await waitFor(() => failure !== undefined || lease.spec.leaseTransitions >= 7, { what: "the Lease to be raised" });
  expect({ failure, refusals, transitions: lease.spec.leaseTransitions }).toEqual({ failure: undefined, refusals: 3, transitions: 7 });
  await operator.stop("SIGTERM");
  expect(lease.spec.holderIdentity).toBe("");
});
