import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { readSchema } from "../../operator/scripts/generate-types.mjs";
import {
  buildClientService,
  chooseRevision,
  gatewayWish,
  haproxyWish,
  instantiatePod,
  routerWish,
} from "../../operator/src/kubernetes/objects/index.js";
import { parseManifest } from "../../operator/src/manifest.js";
import {
  KUBERNETES_START_DEADLINE_MS,
  type KubectlResult,
  type KubernetesAnswer,
  type KubernetesBody,
  type KubernetesServer,
  startKubernetes,
} from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { anyManifest } from "../support/any-manifest.js";
import { type BadManifest, badManifests, type GoodManifest, goodManifests } from "../support/bad-manifests.js";
import { exampleFleet, exampleOperator, firstGrant } from "../support/example-fleet.js";
import { podRules } from "../support/pod-rule-rows.js";
import { statusBounds } from "../support/status-bounds.js";
import { wholeStatusManifest } from "../support/whole-manifest.js";

const FLEETS = "/apis/pushfleet.dev/v1alpha1/namespaces/default/pushgateways";
/** Nothing is stored, and unknown and repeated fields are refused, as `kubectl apply` asks for. */
const STRICT = "dryRun=All&fieldValidation=Strict";

/** What the API server answers to an object it refuses. */
interface Refusal {
  readonly message: string;
  readonly details?: { readonly causes?: readonly { readonly field: string; readonly message: string }[] };
}

describeWithPeers(["kubernetes"], "crds/pushgateway.yaml on a real API server", () => {
  let kubernetes: KubernetesServer;
  beforeAll(async () => {
    kubernetes = await startKubernetes({ controllerManager: false });
  }, KUBERNETES_START_DEADLINE_MS);
  afterAll(() => kubernetes.stop());

  const create = ({ manifest }: GoodManifest): Promise<KubernetesAnswer> =>
    kubernetes.request("POST", `${FLEETS}?${STRICT}`, { type: "application/yaml", content: manifest });

  test("every bad manifest is refused, at the place and in the words that its row expects", async () => {
    const wrong = await Promise.all(badManifests.map(async (row) => describeWrong(row, await create(row))));
    expect(wrong.filter((line) => line !== undefined)).toEqual([]);
  });

  test("every good manifest is accepted, with the defaults that our own validator fills in", async () => {
    const wrong = await Promise.all(
      goodManifests.map(async (row) => {
        const { status, body } = await create(row);
        if (status !== 201) return `${row.name}: refused: ${(body as Refusal).message}`;
        const parsed = parseManifest(row.manifest);
        expect((body as { readonly spec: unknown }).spec, row.name).toEqual(parsed.kind === "manifest" ? parsed.manifest.spec : parsed);
        return undefined;
      }),
    );
    expect(wrong.filter((line) => line !== undefined)).toEqual([]);
  });

  test("of a manifest that was changed anywhere the API server and our own validator think alike", async () => {
    const schema = readSchema(readFileSync(new URL("../../crds/pushgateway.yaml", import.meta.url), "utf8")) as Explained;
    const seen = { accepted: 0, refused: 0 };
    const verdicts = fc.asyncProperty(anyManifest(schema.properties?.["spec"] ?? {}), async (any) => {
      const manifest = JSON.stringify(any);
      const { status, body } = await create({ name: "any", manifest });
      const parsed = parseManifest(manifest);
      const ours = parsed.kind === "manifest" ? parsed.manifest.spec : "refused";
      expect(ours, (body as Refusal).message).toEqual(status === 201 ? (body as { readonly spec: unknown }).spec : "refused");
      seen[status === 201 ? "accepted" : "refused"] += 1;
    });
    const numRuns = Number(process.env["PUSHFLEET_MANIFESTS"] ?? 500);
    await fc.assert(verdicts, { numRuns, endOnFailure: true });
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(numRuns / 50); // a tenth is accepted: the test is of both verdicts
  });

  test("the API refuses of a pod and a Service what Kubernetes itself refuses, and nothing else", async () => {
    const refusals = async (row: GoodManifest): Promise<readonly string[]> => {
      const answers = await Promise.all(
        partsOf(row).map(({ resource, object }) =>
          kubernetes.request("POST", `/api/v1/namespaces/default/${resource}?${STRICT}`, json(object)),
        ),
      );
      return answers.flatMap(({ status, body }) => (status === 201 ? [] : [`${row.name}: ${(body as Refusal).message}`]));
    };
    const bad = podRules.bad.filter((row) => !row.expectedPath.endsWith(".topologyKey")); // any text to Kubernetes, though no node can have it
    const taken = await Promise.all(bad.map(async (row) => ((await refusals(row)).length > 0 ? undefined : row.name)));
    expect(taken.filter((name) => name !== undefined)).toEqual([]);
    expect((await Promise.all(podRules.good.map(refusals))).flat()).toEqual([]);
  });

  test("a bad status is refused by the status subresource, a good one accepted", async () => {
    const empty = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" }, spec: {} };
    await expect(kubernetes.request("POST", FLEETS, json(empty))).resolves.toMatchObject({ status: 201 });
    const setStatus = ({ manifest }: GoodManifest): Promise<KubernetesAnswer> =>
      kubernetes.request("PATCH", `${FLEETS}/demo/status?${STRICT}`, {
        type: "application/merge-patch+json",
        content: { status: (parse(manifest) as { readonly status: unknown }).status },
      });
    const wrong = await Promise.all(statusBounds.bad.map(async (row) => describeWrong(row, await setStatus(row))));
    expect(wrong.filter((line) => line !== undefined)).toEqual([]);
    const good = await Promise.all(statusBounds.good.map(async (row) => ({ name: row.name, status: (await setStatus(row)).status })));
    expect(good.filter(({ status }) => status !== 200)).toEqual([]);
  });

  test("kubectl get shows the status in columns, by the short name too", async () => {
    const named = (name: string) => ({ ...wholeStatusManifest, metadata: { name } });
    await expect(kubernetes.request("POST", FLEETS, json(named("shown")))).resolves.toMatchObject({ status: 201 });
    const status = { type: "application/merge-patch+json", content: { status: wholeStatusManifest.status } } as const;
    await expect(kubernetes.request("PATCH", `${FLEETS}/shown/status`, status)).resolves.toMatchObject({ status: 200 });
    const columns = async (...args: readonly string[]): Promise<readonly string[]> => {
      const { stdout } = await kubernetes.kubectl(["get", ...args]);
      return stdout
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/ {2,}/).join("|"));
    };
    const [heads, values] = await columns("pgw", "shown");
    expect(heads).toBe("NAME|GATEWAYS|CONNECTIONS|CAPACITY|DRAINING|AVAILABLE|NEXT|AGE");
    expect(values).toMatch(/^shown\|3\|1000\|1500000\|1\|True\|Drain\|\d+s$/);
    const [wideHeads, wideValues] = await columns("pushgateways", "shown", "-o", "wide");
    expect(wideHeads).toBe("NAME|GATEWAYS|CONNECTIONS|CAPACITY|DRAINING|AVAILABLE|NEXT|WHY|BLOCKED|AGE");
    expect(wideValues).toMatch(/^shown\|3\|1000\|1500000\|1\|True\|Drain\|a new revision\|the budget\|\d+s$/);
  });

  test("kubectl explain knows every field of the spec and of the status", async () => {
    const schema = readSchema(readFileSync(new URL("../../crds/pushgateway.yaml", import.meta.url), "utf8")) as Explained;
    const explain = (field: string): Promise<KubectlResult> => kubernetes.kubectl(["explain", `pushgateway.${field}`, "--recursive"]);
    const isServed = async (): Promise<boolean> => (await explain("spec")).status === 0; // what a CRD says of itself is served after a while
    await waitFor(isServed, { what: "the API server to explain PushGateways", deadlineMs: KUBERNETES_START_DEADLINE_MS });
    for (const field of ["spec", "status"]) {
      const { stdout } = await explain(field);
      const told = [...stdout.matchAll(/^ {2,}(\w+)\t</gm)].map(([, name]) => name);
      expect(told).toEqual(fieldNames(schema.properties?.[field]));
      expect(told.length).toBeGreaterThan(30);
    }
    const { stdout } = await kubernetes.kubectl(["explain", "pgw.spec.drain.deadlineSeconds"]);
    expect(stdout.replace(/\s+/g, " ")).toContain(
      String(schema.properties?.["spec"]?.properties?.["drain"]?.properties?.["deadlineSeconds"]?.description),
    );
  });

  test("kubectl apply says the same", async () => {
    const unknown = badManifests.find(({ name }) => name.startsWith("spec.drain.unheardOf"));
    const order = badManifests.find(({ breaks }) => breaks.at === "spec.router" && breaks.keyword === "rule");
    for (const row of [unknown, order]) {
      const { status, stderr } = await kubernetes.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], row?.manifest);
      expect(status).toBe(1);
      expect(stderr).toContain(row?.expectedMessage);
    }
  });

  test("an edit is held against the rules too, and /scale writes spec.replicas within its bounds", async () => {
    const fleet = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "scaled" } };
    const spec = { replicas: 3, autoscaling: { mode: "External" } };
    await expect(kubernetes.request("POST", FLEETS, json({ ...fleet, spec }))).resolves.toMatchObject({ status: 201 });
    await expect(kubernetes.kubectl(["scale", "pgw/scaled", "--replicas=7"])).resolves.toMatchObject({ status: 0 });
    const scaled = await kubernetes.request("GET", `${FLEETS}/scaled`);
    expect(scaled.body).toMatchObject({ spec: { replicas: 7 } });
    const toNothing = await kubernetes.kubectl(["scale", "pgw/scaled", "--replicas=0"]);
    expect(toNothing).toMatchObject({ status: 1, stderr: expect.stringContaining("should be greater than or equal to 1") });
    const edit = await kubernetes.request("PATCH", `${FLEETS}/scaled`, {
      type: "application/merge-patch+json",
      content: { spec: { replicas: null } },
    });
    expect(edit).toMatchObject({ status: 422, body: { message: expect.stringContaining("set replicas to the number of gateways") } });
  });
});

/** What `kubectl explain` reads of a schema. */
interface Explained {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Explained>>;
  readonly items?: Explained;
}

/** In its order: by name, each with what is inside it. */
function fieldNames(node: Explained | undefined): readonly string[] {
  return Object.entries(node?.properties ?? node?.items?.properties ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, child]) => [name, ...fieldNames(child)]);
}

/** What the operator would make of a manifest, as objects that Kubernetes checks by themselves. */
function partsOf({ manifest }: GoodManifest): readonly { readonly resource: string; readonly object: object }[] {
  const fleet = exampleFleet((parse(manifest, { version: "1.1" }) as { readonly spec: object }).spec);
  const gateways = fleet.spec.pools.map((pool) => {
    const { template, revision } = chooseRevision([], gatewayWish(fleet, pool, exampleOperator)).inForce;
    const facts = { fleet, name: "gateway", pool: pool.name, slot: 0, revision, grant: firstGrant, nodes: [] };
    return { spec: instantiatePod(template, facts).spec };
  });
  const others = [routerWish(fleet, exampleOperator), haproxyWish(fleet, exampleOperator)].map(
    (wish) => chooseRevision([], wish).inForce.template,
  );
  const templates = [...gateways, ...others].map((template, index) => ({
    resource: "podtemplates",
    object: { apiVersion: "v1", kind: "PodTemplate", metadata: { name: `part-${index}` }, template },
  }));
  const { metadata, ...service } = buildClientService(fleet);
  const { name, annotations } = metadata;
  return [...templates, { resource: "services", object: { ...service, metadata: { name, annotations } } }];
}

const json = (content: object): KubernetesBody => ({ type: "application/json", content });

/** What is wrong with an answer to a bad manifest; `undefined` when it is refused as its row expects. */
function describeWrong(row: BadManifest, { status, body }: KubernetesAnswer): string | undefined {
  if (status < 400) return `${row.name}: accepted`;
  const { message, details } = body as Refusal;
  // What does not decode is told in words, with the path in them; what is decoded and wrong, by field.
  const isTold = ["unknownField", "document"].includes(row.breaks.keyword)
    ? message.includes(row.expectedMessage)
    : details?.causes?.some((cause) => cause.field === row.expectedPath && cause.message.includes(row.expectedMessage));
  return isTold ? undefined : `${row.name}: expected ${row.expectedPath}: ${row.expectedMessage}; got ${message}`;
}
