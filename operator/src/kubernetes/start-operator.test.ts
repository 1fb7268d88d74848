import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, validateConfiguration } from "@pushfleet/service";
import { afterAll, afterEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { closeAll, serve } from "../../../test/support/answering-server.js";
import { firstGrant } from "../../../test/support/example-fleet.js";
import { grantAnnotation } from "../core/index.js";
import { operatorRefinements, operatorSchema } from "./configuration.js";
import { startOperator } from "./start-operator.js";

const folder = mkdtempSync(join(tmpdir(), "start-operator-"));

afterEach(closeAll);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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

interface Lease {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string };
  readonly spec: { readonly holderIdentity: string; readonly leaseTransitions: number };
}

/** An API server with a released Lease and nothing else. `list`: items, or a refusal; `write`: whether the Lease may be written so. */
async function serveCluster(list: (path: string) => readonly object[] | "refused", write: (wanted: Lease) => boolean) {
  const state: { lease: Lease } = {
    lease: { metadata: { name: "pushfleet-operator", uid: "u", resourceVersion: "1" }, spec: { holderIdentity: "", leaseTransitions: 0 } },
  };
  const send = (response: ServerResponse, status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
  const { port } = await serve((request, response, body) => {
    const { url = "", method } = request;
    if (url.includes("watch=true")) return response.flushHeaders();
    if (!url.includes("/leases/")) {
      const items = list(url.replace(/\?.*/, ""));
      return items === "refused" ? send(response, 403, {}) : send(response, 200, { metadata: { resourceVersion: "5" }, items });
    }
    if (method === "GET") return send(response, 200, state.lease);
    const wanted = JSON.parse(body) as Lease;
    if (!write(wanted)) return send(response, 503, {});
    const resourceVersion = String(Number(state.lease.metadata.resourceVersion) + 1);
    state.lease = { ...wanted, metadata: { ...wanted.metadata, resourceVersion } };
    return send(response, 200, state.lease);
  });
  return { port, state };
}

test("a Lease that cannot be raised at first is raised as soon as the API server answers again", async () => {
  const pod = { metadata: { namespace: "a", name: "x", annotations: { [grantAnnotation]: JSON.stringify({ ...firstGrant, epoch: 7 }) } } };
  let refusals = 0;
  const mayWrite = ({ spec }: Lease) => {
    const mayBe = spec.leaseTransitions < 7 || refusals === 3;
    if (!mayBe) refusals += 1;
    return mayBe;
  };
  const { port, state } = await serveCluster((path) => (path === "/api/v1/pods" ? [pod] : []), mayWrite);
  const operator = await startOperator(configurationFor(port), createLogger("test", "silent"));
  let failure: Error | undefined;
  void operator.failed?.then((cause) => {
    failure = cause;
  });
  const transitions = () => state.lease.spec.leaseTransitions;
  await waitFor(() => failure !== undefined || transitions() >= 7, { what: "the Lease to be raised" });
  expect({ failure, refusals, transitions: transitions() }).toEqual({ failure: undefined, refusals: 3, transitions: 7 });
  await operator.stop("SIGTERM");
  expect(state.lease.spec.holderIdentity).toBe("");
});

test("an operator that cannot read all it needs leaves the Lease to one that can", async () => {
  let refused = 0;
  let mayRead = false;
  const list = (path: string) => {
    if (path !== "/api/v1/secrets" || mayRead) return [];
    refused += 1;
    return "refused";
  };
  const { port, state } = await serveCluster(list, () => true);
  const operator = await startOperator(configurationFor(port), createLogger("test", "silent"));
  await waitFor(() => refused === 2, { what: "the list to be tried again" });
  expect(state.lease.spec.holderIdentity).toBe("");
  mayRead = true;
  await waitFor(() => state.lease.spec.holderIdentity !== "", { what: "the Lease to be taken" });
  await operator.stop("SIGTERM");
});
